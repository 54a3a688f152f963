"""Sessions, my data, my addresses."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.base import Body, Items


class AccountAccepted(Body, frozen=True):
    """The answer to a sign-up; the same whether or not the address is known."""

    account_id: str


class SessionBody(Body, frozen=True):
    """The tokens of a program's session."""

    access_token: str
    token_type: str
    expires_in_s: int
    refresh_token: str


class AddressBody(Body, frozen=True):
    """One entry of the address book."""

    address_id: str
    recipient: str
    line1: str
    line2: str
    city: str
    postcode: str
    country: str
    phone: str


class AddressList(Items[AddressBody], frozen=True, kw_only=True):
    """My address book."""


class MeBody(Body, frozen=True):
    """My own data, decrypted for me alone."""

    account_id: str
    email: str
    name: str
    phone: str
    locale: str
    verified: bool
    created_at: datetime
