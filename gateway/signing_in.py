"""Signing in by password, for API and pages, buyers and operators: limited, in few threads, and what programs get for it."""

from __future__ import annotations

from typing import Any

from gateway.bodies.accounts import SessionBody
from gateway.inputs import Credentials
from gateway.services import Services
from shop.accounts.rules import BadCredentials
from shop.accounts.sessions import SignedIn


async def attempt(services: Services, sign_in: Any, given: Credentials, network: str) -> SignedIn:
    """Try to sign in, in the few threads for hashing. Raises TooManyAttempts, Overloaded, BadCredentials or Unverified."""
    services.attempts.admit(given.email, network)
    try:
        signed_in: SignedIn = await services.hashing.run(
            sign_in, services.db, services.kit, given.email, given.password
        )
    except BadCredentials:
        services.attempts.failed(given.email, network)
        raise
    return signed_in


def session_body(services: Services, signed_in: SignedIn) -> SessionBody:
    """The tokens of a session, for programs."""
    life_s = services.settings.access_token_s
    return SessionBody(
        access_token=services.sessions.issue(signed_in, life_s),
        token_type="Bearer",
        expires_in_s=life_s,
        refresh_token=signed_in.refresh_token,
    )
