"""What several calls of operators have in common: their refusals, and a sale with its version as the ETag."""

from __future__ import annotations

from typing import Annotated

from litestar import Response
from litestar.params import QueryParameter

from gateway.bodies.operator import OperatorSaleBody

Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the part before")]
Limit = Annotated[int, QueryParameter(description="1 to 200", ge=1, le=200)]

MINE = ("two_identities", "not_signed_in", "forbidden", "foreign_request", "unavailable")
BODY = ("unreadable_body", "unsupported_media_type", "bad_fields")


def tagged(body: OperatorSaleBody, status: int = 200) -> Response[OperatorSaleBody]:
    """The sale, its version as the ETag."""
    return Response(body, status_code=status, headers={"ETag": f'"{body.version}"'})
