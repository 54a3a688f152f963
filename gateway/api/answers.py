"""Answers that several parts of the API give alike."""

from __future__ import annotations

from typing import Any

from litestar import Response

# Everybody gets the same, and a second of age is promised.
PUBLIC = {"Cache-Control": "public, max-age=1"}


def json_bytes(encoded: bytes) -> Response[Any]:
    """JSON that was encoded once for everybody."""
    return Response(encoded, media_type="application/json", headers=PUBLIC)
