"""My data: name, phone, one address, and erasing all of it."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery

from gateway.cookies import end_browser_session
from gateway.identity import require_buyer, require_live
from gateway.inputs import NewAddress
from gateway.pages.language import locale_of
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    Form,
    form_of,
    page,
    problem_from,
    see_other,
    services_for,
)
from gateway.problems import Problem
from gateway.reading import check
from gateway.services import Services
from shop.accounts import addresses, me
from shop.accounts.rules import Address


@get("/me", include_in_schema=False)
async def me_page(request: AnyRequest, saved: FromQuery[str] = "") -> Response[str]:
    """My data and my address."""
    return await _render_me(request, saved=bool(saved))


async def _render_me(
    request: AnyRequest,
    *,
    saved: bool = False,
    problem: Problem | None = None,
    mine: Form | None = None,
    address: Form | None = None,
) -> Response[str]:
    services = services_for(request)
    principal = await services.threads(require_live, services, require_buyer(request))
    known = await services.threads(me.read_me, services.db, services.kit, principal.subject_id)
    book = await services.threads(addresses.list_addresses, services.db, services.kit, principal.subject_id)
    return page(
        request,
        "account/me.html",
        problem=problem,
        saved=saved,
        me=known,
        mine=mine if mine is not None else Form(name=known.name, phone=known.phone),
        address=address if address is not None else _as_form(book[0].address if book else None),
    )


def _as_form(address: Address | None) -> Form:
    if address is None:
        return Form()
    names = ("recipient", "line1", "line2", "city", "postcode", "country")
    return Form({name: getattr(address, name) for name in names} | {"address_phone": address.phone})


@post("/me", include_in_schema=False)
async def change_me(request: AnyRequest) -> Response[Any]:
    """Change name and phone."""
    services, form = services_for(request), await form_of(request)
    try:
        principal = await services.threads(require_live, services, require_buyer(request))
        await services.threads(
            me.change_me,
            services.db,
            services.kit,
            principal.subject_id,
            name=form["name"],
            phone=form["phone"],
            locale=locale_of(request),
        )
    except REFUSALS as error:
        return await _render_me(request, problem=problem_from(error), mine=form)
    return see_other("/me?saved=yes")


@post("/me/address", include_in_schema=False)
async def change_address(request: AnyRequest) -> Response[Any]:
    """Keep my one address: the first of the address book."""
    services, form = services_for(request), await form_of(request)
    fields = {name: form[name].strip() for name in ("recipient", "line1", "line2", "city", "postcode")}
    try:
        principal = await services.threads(require_live, services, require_buyer(request))
        given = check(
            {**fields, "country": form["country"].strip().upper(), "phone": form["address_phone"]}, NewAddress
        )
        address = given.as_address()
        await services.threads(_keep_address, services, principal.subject_id, address)
    except REFUSALS as error:
        return await _render_me(request, problem=problem_from(error), address=form)
    return see_other("/me?saved=yes")


def _keep_address(services: Services, account_id: str, address: Address) -> None:
    book = addresses.list_addresses(services.db, services.kit, account_id)
    if book:
        addresses.change_address(services.db, services.kit, account_id, book[0].address_id, address)
    else:
        addresses.add_address(services.db, services.kit, account_id, address)


@post("/me/erase", include_in_schema=False)
async def erase_me(request: AnyRequest) -> Response[Any]:
    """Erase my account for good."""
    services, form = services_for(request), await form_of(request)
    if form["sure"] != "yes":
        return see_other("/me")
    try:
        principal = await services.threads(require_live, services, require_buyer(request))
        await services.threads(me.erase_me, services.db, principal.subject_id)
    except REFUSALS as error:
        return await _render_me(request, problem=problem_from(error))
    answer = see_other("/")
    end_browser_session(services, answer)
    return answer


HANDLERS: list[Any] = [me_page, change_me, change_address, erase_me]
