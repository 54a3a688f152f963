"""The public keys by which anybody verifies passes."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency

from gateway.services import Services


@get("/.well-known/jwks.json", tags=["keys"], sync_to_thread=False)
def jwks(services: NamedDependency[Services]) -> Response[bytes]:
    """All live keys as a JSON Web Key Set. A key stays here until its last pass has expired."""
    headers = {
        "Cache-Control": "public, max-age=300",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return Response(services.jwks, media_type="application/jwk-set+json", headers=headers)


HANDLERS = [jwks]
