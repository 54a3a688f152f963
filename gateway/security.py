"""One thin ASGI layer around the whole application: what every request and every answer needs, and nothing else.

Requests: forwarded addresses are believed from trusted proxies only; headers by which another server would introduce a user are
dropped, whoever sends them. Answers: security headers with a strict content policy (a crowd's JSON: those that mean something
for data), `no-store` where nobody has said otherwise.
Every request is counted and timed. Written as plain ASGI because the hot paths pay for it.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.plain import NO_STORE, Answer, Header, Receive, Scope
from gateway.problem_answers import problem_answer

if TYPE_CHECKING:
    from firstcome.settings import Settings
    from gateway.metrics import Metrics

Headers = list[Header]
App = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
CrowdAnswer = Callable[[str, Scope, Receive], Awaitable[Answer]]

CROWD_PATH = "/api/v1/sales/"
CALLBACK_PATH = "/api/v1/payments/callbacks/"

# By these another server names the user it has checked, or the place a request came from. None of it is ours to believe.
_IDENTITY = (
    b"x-firstcome-",
    b"x-waiting-room-",
    b"x-auth-",
    b"x-user",
    b"x-account",
    b"x-forwarded-user",
    b"remote-user",
)
_FORWARDED = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-real-ip",
    }
)
# What is said of JSON that nobody may take for a document; the other headers are about pages, their scripts, frames and forms.
_OF_DATA = frozenset(
    {b"x-content-type-options", b"cross-origin-resource-policy", b"strict-transport-security"}
)
_PUBLIC = ("/static/",)
# Proxies ask it with the method of whoever knocks.
GATE = "/gate/verify"
# Anybody may invent methods; every one of them would be another series of figures.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Layer:
    """Wraps an application. `metrics` counts what passes; `origins` are other hosts that forms may lead to (payment pages).

    `crowd` answers /api/v1/sales/{sale}/… by method and last part of the path, `callback` what payment providers tell: what they
    answer never reaches the application.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        metrics: Metrics,
        origins: Iterable[str],
        crowd: Mapping[tuple[str, str], CrowdAnswer] | None = None,
        callback: CrowdAnswer | None = None,
    ) -> None:
        self._app = app
        self._callback = callback
        self._crowd = crowd or {}
        self._routes = {last: f"{CROWD_PATH}{{sale}}/{last}" for _, last in self._crowd}
        self._dressed: dict[tuple[Header, ...], tuple[Header, ...]] = {}
        self._metrics = metrics
        self._proxies = [ipaddress.ip_network(network) for network in settings.trusted_proxies]
        self._headers = _security_headers(settings.secure, origins)
        self._data_headers = [header for header in self._headers if header[0] in _OF_DATA]
        self._trusted: dict[str, bool] = {}

    def __call__(self, scope: Any, receive: Any, send: Any) -> Coroutine[Any, Any, None]:
        """No coroutine itself: a crowd pays for each one that lies on its way."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        path = scope["path"]
        if path.startswith(CROWD_PATH):
            slug, _, last = path[len(CROWD_PATH) :].partition("/")
            answerer = self._crowd.get((scope["method"], last))
            if answerer is not None and slug:
                return self._answer(answerer, slug, self._routes[last], scope, receive, send)
        elif self._callback is not None and path.startswith(CALLBACK_PATH) and scope["method"] == "POST":
            provider = path[len(CALLBACK_PATH) :]
            if provider and "/" not in provider:
                return self._answer(
                    self._callback, provider, CALLBACK_PATH + "{provider}", scope, receive, send
                )
        return self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the application answer."""
        begun = time.perf_counter()
        scope["headers"] = self._believable(scope)
        asked = scope["method"]
        if asked != "GET" and (asked == "HEAD" or scope["path"] == GATE):
            scope["method"] = (
                "GET"  # HEAD is what GET would answer, without its body; the gate answers all methods alike
            )
        status = 500

        async def finish(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._complete(scope["path"], message.get("headers", ()))
            elif asked == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, finish)
        finally:
            route, method = scope.get("path_template", "unmatched"), asked if asked in _METHODS else "other"
            self._metrics.count(route, method, status, time.perf_counter() - begun)

    async def _answer(
        self,
        answerer: CrowdAnswer,
        name: str,
        route: str,
        scope: Any,
        receive: Receive,
        send: Any,
    ) -> None:
        """Answer without the application; `name` is the sale's or the provider's."""
        begun, method = time.perf_counter(), scope["method"]
        if (
            method != "GET"
        ):  # a poll is the same wherever it comes from, and reads no header that names a user
            scope["headers"] = self._believable(scope)
        try:
            answer = await answerer(name, scope, receive)
        except Exception as error:  # noqa: BLE001 - refusals and faults alike are told as problems
            answer = problem_answer(error, scope["path"])
        await send(answer.start(self._dressed.get(answer.headers) or self._dress(answer.headers)))
        await send(answer.rest())
        self._metrics.count(route, method, answer.status, time.perf_counter() - begun)

    def _dress(self, given: tuple[Header, ...]) -> tuple[Header, ...]:
        """With the security headers of data that are not given already; remembered, since the crowd's answers are all alike."""
        names = {name for name, _ in given}
        missing = (header for header in (*self._data_headers, NO_STORE) if header[0] not in names)
        dressed = self._dressed[given] = (*given, *missing)
        return dressed

    # ------------------------------------------------------------ requests

    def _believable(self, scope: Any) -> Headers:
        headers: Headers = scope["headers"]
        ours = [
            (name, value)
            for name, value in headers
            if name not in _FORWARDED and not name.startswith(_IDENTITY)
        ]
        peer = scope.get("client")
        if len(ours) < len(headers) and peer and self._is_proxy(peer[0]):
            self._forward(scope, headers)
        return ours

    def _forward(self, scope: Any, headers: Headers) -> None:
        """The client as the nearest untrusted address in X-Forwarded-For, and the scheme that it used."""
        # Several lines are one list, of which only the end was written by a proxy that is believed.
        given = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        hops = [hop.strip() for hop in given.decode("latin-1").split(",")]
        strangers = [hop for hop in reversed(hops) if not self._is_proxy(hop)]
        if strangers and _is_address(strangers[0]):
            scope["client"] = (strangers[0], 0)
        for name, value in headers:
            if name == b"x-forwarded-proto" and value in (b"http", b"https"):
                scope["scheme"] = value.decode()

    def _is_proxy(self, address: str) -> bool:
        if not self._proxies:
            return False
        known = self._trusted.get(address)
        if known is None:
            known = _is_address(address) and any(
                ipaddress.ip_address(address) in network for network in self._proxies
            )
            if len(self._trusted) > 10_000:
                self._trusted.clear()
            self._trusted[address] = known
        return known

    # ------------------------------------------------------------ answers

    def _complete(self, path: str, given: Iterable[tuple[bytes, bytes]]) -> Headers:
        headers = [(name.lower(), value) for name, value in given]
        there = {name for name, _ in headers}
        headers += [header for header in self._headers if header[0] not in there]
        if b"cache-control" not in there and not path.startswith(_PUBLIC):
            headers.append((b"cache-control", b"no-store"))
        return headers


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _security_headers(secure: bool, origins: Iterable[str]) -> Headers:
    """What every answer carries. Forms lead to this site and to the payment pages that a redirect may go on to."""
    forms = " ".join(["'self'", *sorted({_origin(url) for url in origins if url})])
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self'; manifest-src 'self'; media-src 'self'; form-action {forms}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        # Browsers send the Origin of our own forms as null when no referrer is allowed at all.
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if secure:
        headers["strict-transport-security"] = "max-age=31536000"  # its sub-domains may be others'
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
