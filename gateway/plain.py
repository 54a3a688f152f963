"""Answering in plain ASGI, on the paths that a whole crowd asks all the time.

Such a path has an *answerer*: from the request to an `Answer`, or a refusal. The outermost layer asks it before Litestar sees
the request (security.py). A handler that documents the path carries `middleware=[plain(answerer)]`, so that the same answer is given
to whatever reaches it in another way, such as with another spelling of the path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.services import services_of

if TYPE_CHECKING:
    from gateway.services import Services

Scope = Any
Receive = Any
Send = Any
Serve = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One whole answer. `headers` are those of all answers of its kind, of which there are few; `own` are this one's alone. Their
    names in lower case, the body's length not among them.
    """

    status: int
    headers: tuple[Header, ...]
    body: bytes = b""
    own: tuple[Header, ...] = ()

    def start(self, headers: Iterable[Header]) -> dict[str, Any]:
        """What ASGI sends before the body, with these headers and its own ones."""
        told = [*headers, *self.own]
        if self.body:
            told.append((b"content-length", b"%d" % len(self.body)))
        return {"type": "http.response.start", "status": self.status, "headers": told}

    def rest(self) -> dict[str, Any]:
        """The body, as ASGI sends it."""
        return {"type": "http.response.body", "body": self.body}


Answerer = Callable[["Services", str, Scope, Receive], Awaitable[Answer]]
"""(services, the sale's slug or the provider's name, the request's scope, where its body comes from) -> the answer."""

# What answers mostly carry.
JSON: Header = (b"content-type", b"application/json")
NO_STORE: Header = (b"cache-control", b"no-store")
# What all answers carry that are meant for one asker.
PERSONAL: tuple[Header, ...] = (JSON, NO_STORE)


def plain(answerer: Answerer, named: str = "sale") -> Callable[..., Serve]:
    """A middleware that answers by itself; the handler behind it is never called. `named` is the part of the path that it is told."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(
            send, await answerer(services_of(scope), scope["path_params"][named], scope, receive)
        )

    return instead(serve)


def instead(serve: Serve) -> Callable[..., Serve]:
    """A middleware of a handler that only documents what `serve` does."""

    def middleware(app: Any) -> Serve:  # noqa: ARG001 - the name that Litestar passes it by
        return serve

    return middleware


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers; where a name comes twice, its first value."""
    return dict(reversed(scope["headers"]))


def text_of(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    """A header's value as text."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def cookies(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The request's cookies; ours need no quoting, so that none is undone."""
    text = text_of(headers, b"cookie")
    return dict(_pairs(text)) if text else {}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            yield name.strip(), value.strip()


async def send_answer(send: Send, answer: Answer) -> None:
    """Send it whole."""
    await send(answer.start(answer.headers))
    await send(answer.rest())
