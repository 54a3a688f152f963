"""One's own data and addresses."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway import identity
from gateway.bodies.accounts import AddressBody, AddressList, MeBody
from gateway.cookies import end_browser_session
from gateway.documenting import BODY, MINE, refuses
from gateway.inputs import MeChange, NewAddress
from gateway.services import Services
from shop.accounts import addresses, me
from shop.accounts.rules import Address

AnyRequest = Request[Any, Any, Any]


@get("/me", tags=["accounts"], sync_to_thread=True, responses=refuses(*MINE))
def read_me(request: AnyRequest, services: NamedDependency[Services]) -> MeBody:
    """My own data, decrypted."""
    return _me(services, identity.require_live(services, identity.require_buyer(request)).subject_id)


@patch(
    "/me",
    guards=[identity.buyers_only],
    tags=["accounts"],
    sync_to_thread=True,
    responses=refuses(*BODY, *MINE),
)
def change_me(data: JSONBody[MeChange], request: AnyRequest, services: NamedDependency[Services]) -> MeBody:
    """Change what is given."""
    principal = identity.require_live(services, identity.require_buyer(request))
    given = {
        name: getattr(data, name)
        for name in ("name", "phone", "locale")
        if isinstance(getattr(data, name), str)
    }
    me.change_me(services.db, services.kit, principal.subject_id, **given)
    return _me(services, principal.subject_id)


@delete(
    "/me", tags=["accounts"], sync_to_thread=True, status_code=204, responses=refuses(*MINE, "orders_open")
)
def erase_me(request: AnyRequest, services: NamedDependency[Services]) -> Response[None]:
    """Erase my personal data for good. Orders stay as bare books without a person in them."""
    principal = identity.require_live(services, identity.require_buyer(request))
    me.erase_me(services.db, principal.subject_id)
    response: Response[None] = Response(None, status_code=204)
    if principal.via == "cookie":
        end_browser_session(services, response)
    return response


@get("/me/addresses", tags=["accounts"], sync_to_thread=True, responses=refuses(*MINE))
def list_addresses(request: AnyRequest, services: NamedDependency[Services]) -> AddressList:
    """My address book, the oldest first."""
    principal = identity.require_live(services, identity.require_buyer(request))
    saved = addresses.list_addresses(services.db, services.kit, principal.subject_id)
    return AddressList(items=[_address_body(one.address_id, one.address) for one in saved], next_cursor=None)


@post(
    "/me/addresses",
    guards=[identity.buyers_only],
    tags=["accounts"],
    sync_to_thread=True,
    responses=refuses(*BODY, *MINE, "too_many_addresses"),
)
def add_address(
    data: JSONBody[NewAddress], request: AnyRequest, services: NamedDependency[Services]
) -> AddressBody:
    """Add an address."""
    principal = identity.require_live(services, identity.require_buyer(request))
    address = data.as_address()
    return _address_body(
        addresses.add_address(services.db, services.kit, principal.subject_id, address), address
    )


@put(
    "/me/addresses/{address_id:str}",
    guards=[identity.buyers_only],
    tags=["accounts"],
    sync_to_thread=True,
    responses=refuses(*BODY, *MINE, "unknown_address"),
)
def change_address(
    address_id: FromPath[str],
    data: JSONBody[NewAddress],
    request: AnyRequest,
    services: NamedDependency[Services],
) -> AddressBody:
    """Replace an address."""
    principal = identity.require_live(services, identity.require_buyer(request))
    address = data.as_address()
    addresses.change_address(services.db, services.kit, principal.subject_id, address_id, address)
    return _address_body(address_id, address)


@delete(
    "/me/addresses/{address_id:str}",
    tags=["accounts"],
    sync_to_thread=True,
    status_code=204,
    responses=refuses(*MINE, "unknown_address"),
)
def delete_address(
    address_id: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> None:
    """Remove an address; orders keep their own copy."""
    principal = identity.require_live(services, identity.require_buyer(request))
    addresses.delete_address(services.db, principal.subject_id, address_id)


def _me(services: Services, account_id: str) -> MeBody:
    mine = me.read_me(services.db, services.kit, account_id)
    return MeBody(
        account_id=mine.account_id,
        email=mine.email,
        name=mine.name,
        phone=mine.phone,
        locale=mine.locale,
        verified=mine.verified,
        created_at=mine.created_at,
    )


def _address_body(address_id: str, address: Address) -> AddressBody:
    return AddressBody(address_id=address_id, **msgspec.structs.asdict(address))


HANDLERS = [read_me, change_me, erase_me, list_addresses, add_address, change_address, delete_address]
