"""The gate in the same process as a Python site, as plain ASGI: any framework, any server.

Whoever holds a pass of the sale goes on to the site, which learns who that is from `scope["firstcome"]` and the X-Firstcome-*
headers. A browser without one is sent to the room, a program is answered 401. Everything is closed but the paths that are named
as open, so that a path which is spelt in a way that nobody thought of is closed as well.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote

import httpx

from firstcome_gate import names, nonce
from firstcome_gate.keys import JWKS_PATH, KeysUnavailable, PublishedKeys, Reader
from firstcome_gate.room import RoomAway, RoomCalls
from waiting_room.passes import Pass
from waiting_room.refusals import InvalidToken

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_CONNECTIONS = 32
RETRY_AFTER_S = 2


class Gate:
    """Wraps `app`. `room` is the origin of the waiting room, `sale_id` the immutable id of the sale that opens this site.

    `site`: the origin of this site when it is on another host than the room (the room must list it among its gate sites).
    `open_paths`: what needs no pass, each an exact path, or everything below it when it ends with a slash.
    `keys`: what verifies passes, by default the keys that the room publishes. `client` sends what has to be asked of the room.
    """

    def __init__(
        self,
        app: App,
        *,
        room: str,
        sale_id: str,
        site: str | None = None,
        open_paths: Iterable[str] = (),
        keys: Reader | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._app = app
        self._sale_id = sale_id
        self._elsewhere = site is not None
        self._secure = (site or room).startswith("https://")
        self._cookie = names.pass_cookie(sale_id, secure=self._secure)
        self._open = frozenset(open_paths)
        self._open_below = tuple(path for path in self._open if path.endswith("/"))
        self._own_client = client is None
        self._client = client or httpx.AsyncClient(limits=httpx.Limits(max_connections=MOST_CONNECTIONS))
        self._keys = keys or PublishedKeys(room + JWKS_PATH, self._client)
        self._room = RoomCalls(room, sale_id, site or room, self._client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http" and self._elsewhere and scope["path"] == names.ENTER:
            await self._enter(scope, send)
        else:
            await self._guard(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if self._own_client:
                await self._client.aclose()

    # ------------------------------------------------------------ who comes

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = self._is_open(scope)
        try:
            admission = await self._admission(scope)
        except KeysUnavailable:
            if not is_open:
                await self._refuse(scope, receive, send, 503)
                return
            admission = None
        if admission is None and not is_open:
            await self._turn_away(scope, receive, send)
            return
        headers = names.headers_for_the_site(scope["headers"], secure=self._secure)
        if admission is not None:
            told = names.identity(admission).items()
            headers += [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in told]
        await self._app({**scope, "headers": headers, "firstcome": admission}, receive, send)

    async def _admission(self, scope: Scope) -> Pass | None:
        """The pass of this sale that the request shows, in its header or its cookie."""
        shown = _header(scope, b"admission-pass") or self._kept(scope)
        if not shown:
            return None
        return self._read(await self._keys(shown), shown)

    def _kept(self, scope: Scope) -> str | None:
        return dict(names.cookies(_header(scope, b"cookie"))).get(self._cookie)

    def _read(self, reader: Any, token: str) -> Pass | None:
        try:
            admission: Pass = reader.read(token, round(time.time() * 1000))
        except InvalidToken:
            return None
        return admission if admission.sale_id == self._sale_id else None

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        spelt = (scope.get("raw_path") or b"").decode("latin-1").partition("?")[0]
        if "//" in path or "/." in path or any(odd in path + spelt for odd in ("\\", ";", "%")):
            return False  # who knows how the site would read it
        return path in self._open or path.startswith(self._open_below)

    # ------------------------------------------------------------ without a pass

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "text/html" not in _header(scope, b"accept"):
            await self._refuse(scope, receive, send, 401)
            return
        target = _target(scope) if scope["method"] in ("GET", "HEAD") else "/"
        held = (self._nonce(scope) or secrets.token_urlsafe(32)) if self._elsewhere else None
        try:
            where = await self._room.way_in(target, nonce.hash_of(held) if held else None)
        except RoomAway:
            await self._refuse(scope, receive, send, 503)
            return
        await _redirect(send, where, *((_kept(nonce.cookie(held, secure=self._secure)),) if held else ()))

    def _nonce(self, scope: Scope) -> str | None:
        return nonce.kept(_header(scope, b"cookie"), secure=self._secure)

    async def _enter(self, scope: Scope, send: Send) -> None:
        """Whoever comes back from the room: the code becomes this host's own cookie, in the browser that was sent there.

        A code of before, or of another browser, leads to the start.
        """
        given = parse_qs(scope["query_string"].decode("latin-1")).get("code", [])
        try:
            held = self._nonce(scope) or ""
            arrival = await self._room.exchange(given[0], held) if len(given) == 1 else None
            token = arrival.token if arrival is not None else ""
            admission = self._read(await self._keys(token), token)
        except (RoomAway, KeysUnavailable):
            await _answer(send, 503, _problem(scope, 503))
            return
        if arrival is None or admission is None or not _is_path(arrival.to):
            await _redirect(send, "/")
            return
        life_s = max(1, admission.exp - int(time.time()))
        cookie = names.keep(self._cookie, arrival.token, life_s, secure=self._secure)
        await _redirect(send, arrival.to, _kept(cookie))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008 if status == 401 else 1013})
        else:
            await _answer(send, status, _problem(scope, status))


# ---------------------------------------------------------------- helpers


def _header(scope: Scope, name: bytes) -> str:
    """All values of a request header as one text; several cookie lines are one list."""
    between = b"; " if name == b"cookie" else b","
    return between.join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def _kept(cookie: str) -> tuple[bytes, bytes]:
    return b"set-cookie", cookie.encode()


def _target(scope: Scope) -> str:
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope["query_string"]
    return str((raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1"))


def _is_path(to: Any) -> bool:
    return (
        isinstance(to, str) and to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable()
    )


def _problem(scope: Scope, status: int) -> bytes:
    code, title = {
        401: ("no_pass", "This opens with an admission pass"),
        503: ("unavailable", "Try again in a moment"),
    }[status]
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "code": code,
        "instance": scope["path"],
    }
    return json.dumps(body).encode()


async def _redirect(send: Send, where: str, *headers: tuple[bytes, bytes]) -> None:
    await _answer(send, 303, b"", (b"location", where.encode("latin-1")), *headers)


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    told = [(b"cache-control", b"no-store"), (b"content-length", str(len(body)).encode()), *headers]
    if body:
        told.append((b"content-type", b"application/problem+json"))
    if status == 401:
        told.append((b"www-authenticate", b"Admission-Pass"))
    if status == 503:
        told.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
