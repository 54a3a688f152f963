"""What an account may be: fields, roles, and every refusal of this room. Pure: no clock, no random, no I/O."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from shop.errors import FieldFault, InvalidFields, Refused
from shop.vault import normal_email

PASSWORD_CHARS = range(8, 257)
NAME_CHARS = 100
PHONE_CHARS = 32
ADDRESS_BYTES = 1900  # as JSON; what the sealed column has room for

LOCALES = ("en", "ko")


class BadCredentials(Refused):
    """Unknown address or wrong password; nobody is told which."""


class Unverified(Refused):
    """The password is right, but the address has not been confirmed yet."""


class BadCode(Refused):
    """Wrong, expired or already used code, or too many tries; or there is no such account."""


class SessionEnded(Refused):
    """The refresh token is unknown, expired, revoked, or was used a second time (which ends the whole family)."""


class UnknownAccount(Refused):
    """There is no such account (any more)."""


class UnknownAddress(Refused):
    """This account has no such address."""


class TooManyAddresses(Refused):
    """The address book is full."""


class OrdersOpen(Refused):
    """The account cannot be erased while stock, money or goods of its orders are on their way."""


class OperatorExists(Refused):
    """An operator with this address exists already."""


class UnknownOperator(Refused):
    """There is no such operator."""


class Kind(StrEnum):
    """Who signs in."""

    BUYER = "buyer"
    OPERATOR = "operator"


class Role(StrEnum):
    """What an operator may do; each includes the ones before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may do."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send things. `country` is an ISO 3166 code of two letters."""

    recipient: str
    line1: str
    city: str
    postcode: str
    country: str
    line2: str = ""
    phone: str = ""


_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]")
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]*")
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})


def email_faults(email: str) -> Iterator[FieldFault]:
    """Nothing for an address that mail servers of today accept (ASCII, with a domain), else what is wrong."""
    local, _, domain = normal_email(email).rpartition("@")
    # Some signs from elsewhere have an ordinary letter as their small one, such as Kelvin's K.
    plain = email.strip().isascii()
    fine = (
        plain
        and len(email) <= 254
        and len(local) <= 64
        and _LOCAL.fullmatch(local)
        and _DOMAIN.fullmatch(domain)
    )
    if not fine:
        yield FieldFault("email", "must be an e-mail address such as name@example.com")


def password_faults(password: str, email: str = "", field: str = "password") -> Iterator[FieldFault]:
    """Length, and not the address itself; nothing else, following NIST SP 800-63B."""
    if len(password) not in PASSWORD_CHARS:
        yield FieldFault(field, f"must have {PASSWORD_CHARS.start} to {PASSWORD_CHARS.stop - 1} characters")
    elif _has_control(password):
        yield FieldFault(field, "must not contain control characters")
    elif email and normal_email(password) == normal_email(email):
        yield FieldFault(field, "must not be the e-mail address")


def name_faults(name: str) -> Iterator[FieldFault]:
    """1 to 100 characters on one line."""
    if not name.strip():
        yield FieldFault("name", "must not be empty")
    elif len(name) > NAME_CHARS or _has_control(name):
        yield FieldFault("name", f"must be one line of at most {NAME_CHARS} characters")


def phone_faults(phone: str, field: str = "phone") -> Iterator[FieldFault]:
    """Empty, or digits with the usual signs between them."""
    if phone and (len(phone) > PHONE_CHARS or not _PHONE.fullmatch(phone)):
        yield FieldFault(field, "must be a phone number such as +82 10 1234 5678")


def locale_faults(locale: str) -> Iterator[FieldFault]:
    """One of the languages that we write in."""
    if locale not in LOCALES:
        yield FieldFault("locale", "must be one of " + ", ".join(LOCALES))


def role_faults(role: str) -> Iterator[FieldFault]:
    """One of the roles."""
    if role not in list(Role):
        yield FieldFault("role", "must be one of " + ", ".join(Role))


def address_faults(address: Address, prefix: str = "") -> Iterator[FieldFault]:
    """Every field of the address that cannot be taken, named `prefix` + field."""
    fine = True
    for fault in _address_field_faults(address, prefix):
        fine = False
        yield fault
    if fine and len(encode_address(address).encode()) > ADDRESS_BYTES:
        yield FieldFault(prefix + "line1", "the address is too long as a whole")


def _address_field_faults(address: Address, prefix: str) -> Iterator[FieldFault]:
    limits = {"recipient": 100, "line1": 200, "line2": 200, "city": 100, "postcode": 16}
    for field, most in limits.items():
        value = getattr(address, field)
        if field != "line2" and not value.strip():
            yield FieldFault(prefix + field, "must not be empty")
        elif len(value) > most or _has_control(value):
            yield FieldFault(prefix + field, f"must be one line of at most {most} characters")
    if not re.fullmatch(r"[A-Z]{2}", address.country):
        yield FieldFault(prefix + "country", "must be a country code of two capital letters such as KR")
    yield from phone_faults(address.phone, prefix + "phone")


def refuse(*groups: Iterator[FieldFault]) -> None:
    """Raise InvalidFields if any of these name a fault."""
    faults: Sequence[FieldFault] = [fault for group in groups for fault in group]
    if faults:
        raise InvalidFields(faults)


def normal_password(password: str) -> str:
    """The same password typed on different keyboards (NIST SP 800-63B: NFKC)."""
    return unicodedata.normalize("NFKC", password)


def encode_address(address: Address) -> str:
    """The address as JSON, as it is sealed."""
    return msgspec.json.encode(address).decode()


def decode_address(text: str) -> Address:
    """The address again."""
    return msgspec.json.decode(text, type=Address)


def _has_control(text: str) -> bool:
    return any(unicodedata.category(char) in _CONTROL for char in text)
