"""Answering in plain ASGI, on the paths that a whole crowd asks all the time.

A handler that documents such a path carries `middleware=[plain(serve)]`: `serve` answers in its place, below Litestar's routing and
error handling but without its requests, dependencies and responses, which cost more than the answer itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

Scope = Any
Receive = Any
Send = Any
Serve = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


def plain(serve: Serve) -> Callable[..., Serve]:
    """A middleware that answers by itself; the handler behind it is never called."""

    def middleware(app: Any) -> Serve:  # noqa: ARG001 - the name that Litestar passes it by
        return serve

    return middleware


def header(scope: Scope, name: bytes) -> str | None:
    """The first value of a request header, given by its lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


def cookies(scope: Scope) -> dict[str, str]:
    """The request's cookies; ours need no quoting, so that none is undone."""
    text = header(scope, b"cookie")
    return dict(_pairs(text)) if text else {}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            yield name.strip(), value.strip()


async def send_bytes(send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    """One whole answer."""
    start = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
