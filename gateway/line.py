"""Joining, looking, leaving, extending and claiming: the bridge between a request and the waiting room.

Decides nothing: it finds the sale in the snapshot, the ticket in the buyer's hands or in the account, asks the room, and words
the answer. Nothing here touches the database. Knows no HTTP and no cookies.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gateway.bodies.line import EstimateBody, LineBody, PassBody, ReasonBody, TicketBody
from gateway.identity import Principal, require_verified
from gateway.refusals import NotSignedIn
from gateway.views import moment
from waiting_room import ticket as tickets
from waiting_room.passes import Pass
from waiting_room.refusals import InvalidToken, NoTicket, RoomUnavailable

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.snapshot import SaleView
    from waiting_room.place import Place


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose place it is: the ticket id, and the ticket that was shown, if a valid one was."""

    ticket_id: str
    shown: tickets.Ticket | None = None
    token: str | None = None


async def join(
    services: Services, slug: str, principal: Principal, ticket_token: str | None = None
) -> tuple[TicketBody, bool]:
    """A place in the line, and whether it is a new one. A ticket of before a loss brings its place back.

    Raises UnknownSale, NotVerified, TooEarly, LineClosed, SoldOut or RoomUnavailable.
    """
    sale = await services.snapshot.find(slug)
    require_verified(principal)
    holder = _holder(services, sale, principal, ticket_token)
    lot = services.draws.lot(sale, holder.ticket_id)
    place = await services.room.join(sale.sale_id, holder.ticket_id, holder.shown, lot=lot)
    return ticket_body(services, sale, holder, place), place.created


async def poll(
    services: Services, slug: str, principal: Principal | None, ticket_token: str | None
) -> TicketBody:
    """My place, by account or by ticket alone: told by this process if it knows that the ticket waits, else by the room.

    Raises UnknownSale, NoTicket, TooManyPolls or RoomUnavailable.
    """
    sale = services.snapshot.known(slug) or await services.snapshot.find(slug)
    holder = _holder(services, sale, principal, ticket_token)
    services.polls.admit(holder.ticket_id)
    place = services.digests.place(holder.shown) if holder.shown else None
    if place is None:
        place = await _ask_room(services, sale, holder)
    return ticket_body(services, sale, holder, place)


async def look(
    services: Services, slug: str, principal: Principal | None, ticket_token: str | None
) -> TicketBody:
    """As `poll`, but the room is asked first: for whoever has just changed something, perhaps through another process."""
    sale = await services.snapshot.find(slug)
    holder = _holder(services, sale, principal, ticket_token)
    services.polls.admit(holder.ticket_id)
    return ticket_body(services, sale, holder, await _ask_room(services, sale, holder))


async def _ask_room(services: Services, sale: SaleView, holder: Holder) -> Place:
    """The truth; while the room cannot tell it, what this process knew last, for a while."""
    try:
        lot = _lot_of(services, sale, holder)
        return await services.room.look(sale.sale_id, holder.ticket_id, holder.shown, lot=lot)
    except RoomUnavailable:
        place = services.digests.place_while_away(holder.shown) if holder.shown else None
        if place is None:
            raise
        return place


async def leave(services: Services, slug: str, principal: Principal | None, ticket_token: str | None) -> None:
    """Give the place up; twice is fine. Raises UnknownSale, NoTicket, OrderOpen or RoomUnavailable."""
    sale = await services.snapshot.find(slug)
    holder = _holder(services, sale, principal, ticket_token)
    lot = _lot_of(services, sale, holder)
    await services.room.leave(sale.sale_id, holder.ticket_id, holder.shown, lot=lot)
    with suppress(RoomUnavailable):
        await services.digests.look_again(sale.sale_id)


async def extend(
    services: Services, slug: str, principal: Principal | None, ticket_token: str | None
) -> TicketBody:
    """One more turn window. Raises UnknownSale, NoTicket, NotCalled, AlreadyExtended or RoomUnavailable."""
    sale = await services.snapshot.find(slug)
    holder = _holder(services, sale, principal, ticket_token)
    place = await services.room.extend(sale.sale_id, holder.ticket_id)
    return ticket_body(services, sale, holder, place)


async def claim(
    services: Services, slug: str, principal: Principal | None, ticket_token: str | None
) -> PassBody:
    """The pass of a called buyer, the same bytes on every retry.

    A pass names its account, so that the ticket alone is not enough. Raises UnknownSale, NotSignedIn, NotVerified, NoTicket,
    NotCalledYet, TurnLapsed, Halted or RoomUnavailable.
    """
    sale = await services.snapshot.find(slug)
    if principal is None:
        raise NotSignedIn("sign in to claim your turn")
    holder = _holder(services, sale, principal, ticket_token)
    require_verified(principal)
    granted = await services.room.claim(
        sale.sale_id, holder.ticket_id, principal.subject_id, kid=services.pass_signer.active
    )
    admission = Pass(
        sale_id=sale.sale_id,
        ticket_id=holder.ticket_id,
        account_id=granted.account_id,
        iat=granted.iat,
        exp=granted.exp,
        jti=granted.jti,
        kid=granted.kid,
    )
    return PassBody(pass_=services.pass_signer.sign(admission), expires_at=moment(granted.exp * 1000))


def line_document(services: Services, slug: str) -> LineBody:
    """The shared state of a sale's line, from this process's snapshot. Raises UnknownSale or SnapshotStale."""
    return services.snapshot.line(slug).body


# ---------------------------------------------------------------- helpers


def ticket_id_of(services: Services, sale: SaleView, account_id: str) -> str:
    """The one ticket id that an account can have in a sale."""
    key = services.ticket_id_keys.by_id[sale.ticket_key_id]
    return tickets.ticket_id(key, sale.sale_id, account_id)


def _holder(services: Services, sale: SaleView, principal: Principal | None, token: str | None) -> Holder:
    """Whose place is meant. Where ticket and account differ, the account wins; a broken ticket counts as none."""
    shown = _read(services, sale, token)
    if principal is not None and principal.kind == "buyer":
        ticket_id = ticket_id_of(services, sale, principal.subject_id)
        fits = shown is not None and shown.ticket_id == ticket_id
        return Holder(ticket_id, shown if fits else None, token if fits else None)
    if shown is None:
        raise NoTicket("no ticket of this sale was shown")
    return Holder(shown.ticket_id, shown, token)


def _lot_of(services: Services, sale: SaleView, holder: Holder) -> str:
    """The draw score, where a ticket of a lobby is shown: nothing else tells its place after a loss."""
    in_lobby = holder.shown is not None and holder.shown.number == 0
    return services.draws.lot(sale, holder.ticket_id) if in_lobby else ""


def _read(services: Services, sale: SaleView, token: str | None) -> tickets.Ticket | None:
    if not token:
        return None
    try:
        return services.ticket_reader.read(token, sale.sale_id)
    except InvalidToken:
        return None


def ticket_body(services: Services, sale: SaleView, holder: Holder, place: Place) -> TicketBody:
    """The answer to whoever holds this place. A ticket that still says the truth is handed back as it is."""
    now = datetime.now(UTC)
    return TicketBody(
        ticket_id=holder.ticket_id,
        ticket=_token(services, sale, holder, place),
        sale=sale.slug,
        state=place.state,
        stock_outlook=place.stock_outlook,
        poll_after_ms=place.poll_after_ms,
        as_of=now,
        number=place.number or None,
        position=place.position,
        ahead=place.ahead,
        waiting=place.waiting,
        estimate=_estimate(place),
        be_back_by=_be_back_by(place, now),
        turn_expires_at=moment(place.turn_expires_at_ms),
        extended=place.extended or None,
        draw_receipt=services.draws.receipt(sale, holder.ticket_id, place),
        message=services.snapshot.message(sale),
    )


def _token(services: Services, sale: SaleView, holder: Holder, place: Place) -> str:
    shown = holder.shown
    if holder.token and shown and (shown.number, shown.store_id) == (place.mark, place.store_id):
        return holder.token
    fresh = tickets.Ticket(sale.sale_id, holder.ticket_id, place.mark, place.store_id)
    return tickets.issue(fresh, sale.ticket_key_id, services.ticket_keys)


def _estimate(place: Place) -> EstimateBody | None:
    if place.estimate is None:
        return None
    found = place.estimate
    reason = None
    if found.reason is not None:
        reason = ReasonBody(code=found.reason, at=moment(found.reason_at_ms) or datetime.now(UTC))
    return EstimateBody(low_s=found.low_s, high_s=found.high_s, reason=reason)


def _be_back_by(place: Place, now: datetime) -> datetime | None:
    """Until when one may stay away: the end of the come-back time, or the soonest that the turn may come."""
    if place.comeback_until_ms is not None:
        return moment(place.comeback_until_ms)
    if place.estimate is None or place.estimate.low_s is None:
        return None
    return now + timedelta(seconds=place.estimate.low_s)
