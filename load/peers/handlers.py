"""The HTTP peers: plain Litestar handlers behind the very server, loop and settings that `firstcome serve` uses.

    python -m load.peers.handlers NAME PORT …

Each is written as a newcomer would write it, with no layer, no metrics, no security headers: the product has all of these and is
measured with them.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, get, post, put
from litestar.handlers.base import BaseRouteHandler
from litestar.params import JSONBody
from sqlalchemy.exc import IntegrityError

from firstcome import clients
from firstcome.asgi import quieten_collector
from firstcome.processes.serving import allow_many_connections, serve_app
from shop.storage.database import Database, Tx


class Filled(msgspec.Struct):
    """A JSON document of a given size."""

    text: str


def filled(size: int) -> Filled:
    """A document whose JSON is `size` bytes long."""
    return Filled("x" * max(0, size - len('{"text":""}')))


def raw(size: str) -> Any:
    """No framework at all: the upper end of what this server can answer, and of what the generator can ask."""
    body = msgspec.json.encode(filled(int(size)))

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def empty(path: str, size: str) -> Litestar:
    """An empty JSON handler that returns a constant document of `size` bytes."""
    body = filled(int(size))

    @get(path)
    async def handler() -> Filled:
        return body

    return _app(handler)


def round_trip(path: str, size: str) -> Litestar:
    """A handler that awaits one Redis round trip and returns a document of `size` bytes."""
    body = filled(int(size))
    client = clients.redis_async(os.environ["FIRSTCOME_REDIS_URL"], connections=512)

    @put(path, status_code=200)
    async def handler() -> Filled:
        await client.incr("peer")
        return body

    return _app(handler)


class Success(msgspec.Struct):
    """The part of a callback that matters here."""

    data: dict[str, Any]


def bare_settle(path: str, recorded: str) -> Litestar:
    """A sync handler that runs the statements of one settled callback in one transaction, for the payment that it is told.

    No signature, no state is looked at, nothing is sealed or announced.
    """
    pattern, statements = pickle.loads(Path(recorded).read_bytes())
    db = Database(os.environ["FIRSTCOME_DATABASE_URL"])

    def settle(tx: Tx, payment_id: str) -> None:
        for statement, parameters in statements:
            renamed = {name: _renamed(value, pattern, payment_id) for name, value in parameters.items()}
            tx.connection.exec_driver_sql(statement, renamed)

    @post(path, status_code=200, sync_to_thread=True)
    def handler(data: JSONBody[Success]) -> dict[str, str]:
        try:
            db.run(settle, data.data["reference"])
        except IntegrityError:  # while a run ends, the generator sends its first requests once more
            return {"verdict": "repeated"}
        return {"verdict": "applied"}

    return _app(handler)


def _renamed(value: Any, pattern: str, name: str) -> Any:
    return value.replace(pattern, name) if isinstance(value, str) else value


def _app(*handlers: BaseRouteHandler) -> Litestar:
    return Litestar(route_handlers=list(handlers), openapi_config=None, logging_config=None)


PEERS: dict[str, Callable[..., Any]] = {
    "raw": raw,
    "empty": empty,
    "round_trip": round_trip,
    "bare_settle": bare_settle,
}


def _create(name: str, words: Sequence[str]) -> Any:
    app = PEERS[name](*words)
    quieten_collector()
    return app


def main() -> None:
    name, port, *words = sys.argv[1:]
    allow_many_connections()
    serve_app(partial(_create, name, words), "127.0.0.1", int(port), workers=1)


if __name__ == "__main__":
    main()
