"""Draws: what was promised before the lobby, and everything that a stranger needs to recompute it after the opening."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from gateway.bodies.draws import DrawDocument, DrawListPage
from gateway.documenting import refuses
from gateway.services import Services

AnyRequest = Request[Any, Any, Any]

_SOON = {"Cache-Control": "public, max-age=1"}
_LASTING = {"Cache-Control": "public, max-age=3600"}

Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the part before")]
Limit = Annotated[int, QueryParameter(ge=1, le=10_000, description="the most items")]


@get("/sales/{sale:str}/draw", tags=["draws"], responses=refuses("unknown_sale", "no_draw", "unavailable"))
async def read_draw(sale: FromPath[str], services: NamedDependency[Services]) -> Response[DrawDocument]:
    """A draw: its commitment before the opening; seed, list and addendum once they are public."""
    return Response(await services.draws.document(services, sale), headers=_SOON)


@get(
    "/sales/{sale:str}/draw/list",
    tags=["draws"],
    responses=refuses("unknown_sale", "no_draw", "not_drawn_yet", "bad_fields", "unavailable"),
)
async def read_list(
    sale: FromPath[str], services: NamedDependency[Services], cursor: Cursor = None, limit: Limit = 1_000
) -> Response[DrawListPage]:
    """The list of a draw, in parts: number and ticket id."""
    return Response(await services.draws.page(services, sale, cursor, limit), headers=_LASTING)


@get(
    "/sales/{sale:str}/draw/list.txt",
    tags=["draws"],
    media_type="text/plain",
    responses={
        200: ResponseSpec(
            str, media_type="text/plain", description="the ids, one a line", generate_examples=False
        ),
        **refuses("unknown_sale", "no_draw", "not_drawn_yet", "unavailable"),
    },
)
async def read_text(
    sale: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> Response[bytes]:
    """The whole list of a draw, an id a line: what its published hash is the SHA-256 of."""
    text, list_hash = await services.draws.text(services, sale)
    headers = {**_LASTING, "ETag": f'"{list_hash}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(b"", status_code=304, headers=headers, media_type="text/plain")
    return Response(text, headers=headers, media_type="text/plain; charset=utf-8")


HANDLERS = [read_draw, read_list, read_text]
