"""The public pages: what is sold, one sale, and joining its line. Strangers are answered from the snapshot, once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from gateway import line
from gateway.bodies.sales import SaleBody
from gateway.cookies import cookie_name, device_of, name_device
from gateway.identity import principal_of
from gateway.networks import client_of
from gateway.pages.line import remember_place
from gateway.pages.passes import ticket_token
from gateway.pages.render import (
    PUBLIC,
    REFUSALS,
    AnyRequest,
    Form,
    Visitor,
    count_of,
    form_of,
    page,
    problem_from,
    see_other,
    services_for,
    services_with,
    visitor_of,
)
from gateway.problems import Problem
from gateway.refusals import NotSignedIn, NotVerified
from gateway.services import Services
from waiting_room.refusals import ChallengeRequired, PauseTooSoon, ProofSpent

# Phases in which joining is worth a button; whether it is granted is decided by the line.
JOINABLE = frozenset({"lobby", "open", "paused", "halted", "all_held"})

# A page that solves challenges by itself must not do so for ever: after these it asks for patience.
MOST_TRIES = 3

_kept: dict[tuple[str, str], tuple[float, str]] = {}
_MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class SaleShown:
    """A sale with the length of its line, None where that is not known."""

    sale: SaleBody
    waiting: int | None

    @property
    def joinable(self) -> bool:
        return self.sale.phase in JOINABLE

    @property
    def next_at(self) -> datetime | None:
        """When the sale's phase changes by itself: the moment that its countdown runs to."""
        match self.sale.phase:
            case "announced":
                return self.sale.lobby_opens_at
            case "lobby":
                return self.sale.opens_at
            case _:
                return None


def shown(services: Services, sale: SaleBody) -> SaleShown:
    """A sale with its line, from the snapshot."""
    state = services.snapshot.state(sale.slug)
    return SaleShown(sale, state.waiting if state is not None and state.confirmed else None)


def message_in(visitor: Visitor, sale: SaleBody) -> str:
    """The operator's words in the reader's language."""
    return getattr(sale.message, visitor.locale, "") if sale.message else ""


def for_strangers(
    request: AnyRequest, visitor: Visitor, render: Callable[[], Response[str]]
) -> Response[str]:
    """A page that looks alike for all strangers: rendered once a second in this process, and cacheable as long."""
    if visitor.principal is not None:
        return render()
    key = (request.scope["path"], visitor.locale)
    found = _kept.get(key)
    if found is None or time.monotonic() - found[0] > 1.0:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        found = _kept[key] = (time.monotonic(), render().content)
    return Response(found[1], media_type="text/html", headers=PUBLIC)


@get("/", include_in_schema=False)
async def home(request: AnyRequest) -> Response[str]:
    """Sales and products."""
    services, visitor = services_for(request), visitor_of(request)

    def render() -> Response[str]:
        sales = [shown(services, sale) for sale in services.snapshot.sales()]
        soonest = min((sale.next_at for sale in sales if sale.next_at), default=None)
        return page(
            request,
            "buyer/home.html",
            sales=sales,
            products=services.snapshot.products(),
            next_at=soonest,
        )

    return for_strangers(request, visitor, render)


@get("/sales/{sale:str}", include_in_schema=False)
async def sale_page(request: AnyRequest, sale: FromPath[str]) -> Response[str]:
    """One sale: its products, its times, its line, and the way in."""
    await services_with(request, sale)
    services, visitor = services_for(request), visitor_of(request)
    if _has_ticket(request, visitor, services, sale):
        return render_sale(request, visitor, sale)
    return for_strangers(request, visitor, lambda: render_sale(request, visitor, sale))


def render_sale(
    request: AnyRequest, visitor: Visitor, slug: str, problem: Problem | None = None
) -> Response[str]:
    """The sale's page, with what was refused above it."""
    services = services_for(request)
    seen = shown(services, services.snapshot.sale_body(slug))
    return page(
        request,
        "buyer/sale.html",
        problem=problem,
        shown=seen,
        sale=seen.sale,
        message=message_in(visitor, seen.sale),
        has_ticket=_has_ticket(request, visitor, services, slug),
    )


def _has_ticket(request: AnyRequest, visitor: Visitor, services: Services, slug: str) -> bool:
    """Whether this browser holds a ticket of the sale. Only for a link; the line itself knows better."""
    known = services.snapshot.sale(slug)
    name = cookie_name(services.settings, f"ticket_{known.sale_id}")
    return (visitor.is_buyer or known.guests) and bool(request.cookies.get(name))


@get("/sales/{sale:str}/guest", include_in_schema=False)
async def guest_page(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """What it means to wait without an account, and the way to do it. Gives the browser the id that its place will hang on."""
    services, visitor = await services_with(request, sale), visitor_of(request)
    if visitor.is_buyer or not services.snapshot.sale(sale).guests:
        return see_other(f"/sales/{sale}")
    answer = page(request, "buyer/guest.html", shown=shown(services, services.snapshot.sale_body(sale)))
    if not device_of(request):
        name_device(services, answer)
    return answer


@post("/sales/{sale:str}/join", include_in_schema=False)
async def join(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """Take a place in the line, or come back to a missed turn."""
    services, visitor = await services_with(request, sale), visitor_of(request)
    form = await form_of(request)
    principal, device = visitor.principal, device_of(request)
    if principal is None and not device and services.snapshot.sale(sale).guests:
        return see_other(
            f"/sales/{sale}/guest"
        )  # a place without anything to hold it by would be lost at once
    knock = line.Knock(client_of(request), form["challenge"], device)
    try:
        told, _ = await line.join(services, sale, principal, ticket_token(request, services, sale), knock)
    except NotSignedIn:
        return see_other(f"/login?next=/sales/{sale}")
    except NotVerified:
        return see_other(f"/verify?next=/sales/{sale}")
    except ChallengeRequired as error:
        return await ask_for_proof(request, sale, form, error)
    except REFUSALS as error:
        return render_sale(request, visitor, sale, problem_from(error))
    answer = see_other(f"/sales/{sale}/line")
    remember_place(request, answer, services, sale, told.ticket, ahead=told.ahead)
    return answer


async def ask_for_proof(
    request: AnyRequest, slug: str, form: Form, refused: ChallengeRequired
) -> Response[str]:
    """The page that gets its reader in: by a challenge that it solves itself, or, without a script, after a while."""
    services = services_for(request)
    # A pause that has let somebody in is over; one that came too soon after another stays good, a little later.
    given = "" if isinstance(refused, ProofSpent) else form["challenge"]
    token = ticket_token(request, services, slug)
    pause, wait_s = await line.pause(
        services, slug, principal_of(request), token, device=device_of(request), given=given
    )
    return page(
        request,
        "buyer/challenge.html",
        status=403,
        sale=services.snapshot.sale(slug),
        pause=pause,
        wait_s=max(wait_s, refused.retry_after_s if isinstance(refused, PauseTooSoon) else 1),
        tries=count_of(form["tries"]),
        most_tries=MOST_TRIES,
    )


HANDLERS: list[Any] = [home, sale_page, guest_page, join]
