"""The caller's own place in the line of a sale: join, look, leave, extend, claim.

The poll and the join are answered in plain ASGI: they are what a crowd asks. Nothing here touches the database.
"""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, delete, get, post, put
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter

from gateway import identity, line
from gateway.bodies.line import PassBody, TicketBody
from gateway.cookies import cookie_name, device_in, set_cookie
from gateway.csrf import require_own_page
from gateway.documenting import refuses
from gateway.networks import address_of
from gateway.plain import (
    PERSONAL,
    Answer,
    Answerer,
    Receive,
    Scope,
    cookies,
    headers_of,
    plain,
    text_of,
)
from gateway.refusals import NotSignedIn, WrongRole
from gateway.services import Services
from gateway.sessions import Principal
from gateway.wording import Told
from waiting_room.challenge import Challenge

AnyRequest = Request[Any, Any, Any]

TICKET_HEADER = "waiting-room-ticket"
TicketHeader = Annotated[
    str | None,
    HeaderParameter(name="Waiting-Room-Ticket", description="my ticket; suffices without a session"),
]
ProofHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Join-Challenge", description="a solved challenge, as ALTCHA's solvers give it: base64 of JSON"
    ),
]
# A ticket is worth something as long as its sale; a browser may forget it after this long without a visit.
TICKET_COOKIE_S = 7 * 24 * 3600

_TICKET = TICKET_HEADER.encode()
_PROOF = b"join-challenge"

_PLACE = ("unknown_sale", "no_ticket", "two_identities", "room_unavailable", "unavailable")


async def answer_poll(services: Services, slug: str, scope: Scope, _receive: Receive) -> Answer:
    """GET …/ticket: a poll."""
    headers = headers_of(scope)
    shown = text_of(headers, _TICKET)
    if b"cookie" not in headers and b"authorization" not in headers:
        return _place(services, 200, await line.poll(services, slug, None, shown), None)
    given = cookies(headers)
    cookie_name = await _ticket_cookie_name(services, slug) if given else ""
    kept = given.get(cookie_name)
    bearer = text_of(headers, b"authorization")
    principal = _who(services, bearer, given, shown or kept)
    told = await line.poll(services, slug, principal, shown or kept)
    in_browser = shown is None and (kept is not None or (principal is not None and principal.via == "cookie"))
    keep = cookie_name if in_browser and told.ticket != kept else None
    return _place(services, 200, told, keep)


def _place(services: Services, status: int, told: Told, cookie_name: str | None) -> Answer:
    """The answer to whoever asked for a place; a browser is to keep the ticket as this cookie."""
    if cookie_name is None:
        return Answer(status, PERSONAL, told.encoded)
    fresh = set_cookie(_ticket_cookie(services, cookie_name, told.ticket))
    return Answer(status, PERSONAL, told.encoded, ((b"set-cookie", fresh),))


def _who(
    services: Services, authorization: str | None, given: dict[str, str], ticket: str | None
) -> Principal | None:
    """Who polls. The ticket alone suffices, so that a session that has run out meanwhile keeps nobody from looking."""
    try:
        return identity.identify(services, "buyer", authorization, given)
    except NotSignedIn:
        if ticket:
            return None
        raise


@get(
    "/sales/{sale:str}/ticket",
    tags=["line"],
    middleware=[plain(answer_poll)],
    responses=refuses(*_PLACE, "not_signed_in", "too_many_polls"),
)
async def read_ticket(sale: FromPath[str], ticket: TicketHeader = None) -> TicketBody:
    """My place, by the ticket alone (`Waiting-Room-Ticket`) or by my account. Ask again after `poll_after_ms`."""
    raise NotImplementedError(sale, ticket)


@get(
    "/sales/{sale:str}/challenge",
    tags=["line"],
    responses=refuses("unknown_sale", "unavailable"),
)
async def challenge(sale: FromPath[str], services: NamedDependency[Services]) -> Response[Challenge]:
    """A challenge to solve for joining: ALTCHA, version 2, a proof of work. Good for this sale, once, for ten minutes.

    Send the solution in `Join-Challenge` when a join was answered `challenge_required`, or whenever the sale's `challenge` is set.
    """
    return Response(await line.challenge(services, sale), headers={"Cache-Control": "no-store"})


async def answer_join(services: Services, slug: str, scope: Scope, _receive: Receive) -> Answer:
    """PUT …/ticket: join, or come back."""
    headers = headers_of(scope)
    given = cookies(headers)
    principal = identity.identify(services, "buyer", text_of(headers, b"authorization"), given)
    require_own_page(services, headers, principal)
    if principal is not None:
        identity.buyer(principal)
    name = await _ticket_cookie_name(services, slug)
    shown = text_of(headers, _TICKET) or given.get(name)
    device = device_in(services.settings, given)
    knock = line.Knock(address_of(scope), text_of(headers, _PROOF) or "", device)
    told, created = await line.join(services, slug, principal, shown, knock)
    in_browser = principal.via == "cookie" if principal is not None else bool(device)
    return _place(services, 201 if created else 200, told, name if in_browser else None)


@put(
    "/sales/{sale:str}/ticket",
    tags=["line"],
    status_code=200,
    middleware=[plain(answer_join)],
    responses=refuses(
        *("unknown_sale", "not_signed_in", "two_identities", "foreign_request", "forbidden", "unverified"),
        *("challenge_required", "too_many_joins", "too_early", "line_closed", "sold_out"),
        *("room_unavailable", "unavailable"),
    ),
)
async def join(
    sale: FromPath[str],
    ticket: TicketHeader = None,
    proof: ProofHeader = None,
) -> TicketBody:
    """Join the line, or come back to the own place: 201 with a new place, 200 with the one that I hold.

    Who left, lapsed, or whose order ended without a purchase (`outcome: ended`) gets a new number. A place that has bought (`outcome:
    paid`) is used for good, also when the money has gone back since: 200 with the same `done`.

    Where the sale allows `guests`, no session is needed: whoever sends none gets a place of its own, and the `ticket` of the answer
    is all there is to show for it; send it in `Waiting-Room-Ticket` with every further call, a repeated join included. The claim
    needs a session; the place then moves to that account.
    """
    raise NotImplementedError(sale, ticket, proof)


@delete("/sales/{sale:str}/ticket", tags=["line"], status_code=204, responses=refuses(*_PLACE, "order_open"))
async def leave(
    sale: FromPath[str],
    request: AnyRequest,
    services: NamedDependency[Services],
    ticket: TicketHeader = None,
) -> Response[None]:
    """Give my place up, and the slot with it; twice is fine."""
    principal, shown, cookie_name = await _holder(request, services, sale, ticket)
    await line.leave(services, sale, principal, shown)
    response: Response[None] = Response(None, status_code=204)
    if cookie_name in request.cookies:
        response.set_cookie(_ticket_cookie(services, cookie_name, "", 0))
    return response


@post(
    "/sales/{sale:str}/ticket/extend",
    tags=["line"],
    status_code=200,
    responses=refuses(*_PLACE, "not_called", "already_extended"),
)
async def extend(
    sale: FromPath[str],
    request: AnyRequest,
    services: NamedDependency[Services],
    ticket: TicketHeader = None,
) -> Response[TicketBody]:
    """One more turn window, once."""
    principal, shown, _ = await _holder(request, services, sale, ticket)
    body = await line.extend(services, sale, principal, shown)
    return Response(body, headers={"Cache-Control": "no-store"})


@post(
    "/sales/{sale:str}/pass",
    tags=["line"],
    status_code=200,
    responses=refuses(
        *_PLACE, "not_signed_in", "forbidden", "unverified", "not_called_yet", "turn_lapsed", "halted"
    ),
)
async def claim(
    sale: FromPath[str],
    request: AnyRequest,
    services: NamedDependency[Services],
    ticket: TicketHeader = None,
) -> Response[PassBody]:
    """Take my turn: the signed pass that checkout asks for. A retry gives the same bytes."""
    principal, shown, _ = await _holder(request, services, sale, ticket)
    if principal is not None and principal.kind != "buyer":
        raise WrongRole("this is for buyers")
    body = await line.claim(services, sale, principal, shown)
    return Response(body, headers={"Cache-Control": "no-store"})


# ---------------------------------------------------------------- helpers


async def _holder(
    request: AnyRequest, services: Services, slug: str, ticket: str | None
) -> tuple[Principal | None, str | None, str]:
    """Who asks, the ticket shown in header or cookie, and the cookie's name."""
    name = await _ticket_cookie_name(services, slug)
    shown = ticket or request.cookies.get(name)
    given = request.headers.get("authorization")
    return _who(services, given, request.cookies, shown), shown, name


async def _ticket_cookie_name(services: Services, slug: str) -> str:
    sale = services.snapshot.known(slug) or await services.snapshot.find(slug)
    return cookie_name(services.settings, f"ticket_{sale.sale_id}")


def _ticket_cookie(services: Services, name: str, token: str, max_age_s: int = TICKET_COOKIE_S) -> Cookie:
    return Cookie(
        key=name,
        value=token,
        max_age=max_age_s,
        path="/",
        secure=services.settings.secure,
        httponly=True,
        samesite="lax",
    )


# What the outermost layer answers itself, as the line's (api/line.py).
CROWD: dict[tuple[str, str], Answerer] = {("GET", "ticket"): answer_poll, ("PUT", "ticket"): answer_join}

HANDLERS = [read_ticket, challenge, join, leave, extend, claim]
