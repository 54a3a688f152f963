"""The state of a line, the same for everybody. Answered in plain ASGI: it is what a crowd asks, and touches no database."""

from __future__ import annotations

import msgspec
from litestar import HttpMethod, Response, get, route
from litestar.params import FromPath

from gateway.bodies.line import LineBody
from gateway.documenting import refuses
from gateway.plain import JSON, Answer, Answerer, Header, Receive, Scope, headers_of, plain
from gateway.problem_answers import problem_answer
from gateway.refusals import GatewayRefused, UnknownSale
from gateway.services import Services

_OPEN: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
_PUBLIC: Header = (b"cache-control", b"public, max-age=1")
# What all answers of a kind carry.
_SHARED: tuple[Header, ...] = (JSON, _PUBLIC, *_OPEN)
_UNCHANGED: tuple[Header, ...] = (_PUBLIC, *_OPEN)


async def answer_line(services: Services, slug: str, scope: Scope, _receive: Receive) -> Answer:
    """GET …/line: bytes that were encoded once, or 304. Refusals may be read by pages of any origin, too."""
    try:
        try:
            view = services.snapshot.line(slug)
        except UnknownSale:
            await services.snapshot.find(slug)
            view = services.snapshot.line(slug)
    except GatewayRefused as refusal:
        told = problem_answer(refusal, f"/api/v1/sales/{slug}/line")
        return msgspec.structs.replace(told, headers=(*told.headers, *_OPEN))
    own = ((b"etag", view.etag),)
    if headers_of(scope).get(b"if-none-match") == view.etag:
        return Answer(304, _UNCHANGED, own=own)
    return Answer(200, _SHARED, view.encoded, own)


@get(
    "/sales/{sale:str}/line",
    tags=["line"],
    middleware=[plain(answer_line)],
    responses=refuses("unknown_sale", "unavailable"),
)
async def read_line(sale: FromPath[str]) -> LineBody:
    """The state of the line, the same for everybody: cacheable for a second, with a weak ETag; open to any origin."""
    raise NotImplementedError(sale)


@route("/sales/{sale:str}/line", http_method=[HttpMethod.OPTIONS], include_in_schema=False)
async def line_options(sale: FromPath[str]) -> Response[None]:  # noqa: ARG001 - Litestar passes it by name
    """What a browser asks before a program of another origin sends If-None-Match."""
    allowed = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "If-None-Match",
        "Access-Control-Max-Age": "86400",
        "Allow": "GET, OPTIONS",
    }
    return Response(None, status_code=204, headers=allowed)


# What the outermost layer answers itself, by method and last part of /api/v1/sales/{sale}/… (security.py).
CROWD: dict[tuple[str, str], Answerer] = {("GET", "line"): answer_line}

HANDLERS = [line_options, read_line]
