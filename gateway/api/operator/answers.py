"""What several calls of operators have in common: their refusals, and a sale with its version as the ETag."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from litestar import Response
from litestar.params import QueryParameter
from litestar.response import Stream

from gateway.bodies.operator import OperatorSaleBody
from gateway.services import Services

Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the part before")]
Limit = Annotated[int, QueryParameter(description="1 to 200", ge=1, le=200)]
Sale = Annotated[str | None, QueryParameter(description="the slug of one sale")]

MINE = ("two_identities", "not_signed_in", "forbidden", "foreign_request", "unavailable")
BODY = ("unreadable_body", "unsupported_media_type", "bad_fields")


def tagged(body: OperatorSaleBody, status: int = 200) -> Response[OperatorSaleBody]:
    """The sale, its version as the ETag."""
    return Response(body, status_code=status, headers={"ETag": f'"{body.version}"'})


def csv_file(services: Services, name: str, parts: Iterator[str]) -> Stream:
    """A table as a file, its parts made one after another in threads."""

    async def read() -> AsyncIterator[str]:
        while (part := await services.threads(next, parts, "")) != "":
            yield part

    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Stream(read, media_type="text/csv; charset=utf-8", headers=headers)
