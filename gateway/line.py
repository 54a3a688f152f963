"""Joining, looking, leaving, extending and claiming: the bridge between a request and the waiting room.

Decides nothing: it finds the sale in the snapshot, the ticket in the buyer's hands or in the account, asks the room, and words
the answer. Nothing here touches the database. Knows no HTTP and no cookies.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING

import msgspec

from gateway.bodies.line import LineBody, PassBody, TicketBody
from gateway.identity import require_verified
from gateway.refusals import NotSignedIn
from gateway.sessions import Principal
from gateway.views import moment
from gateway.wording import Holder, Told, tell, ticket_body
from waiting_room import ticket as tickets
from waiting_room.challenge import PAUSE_MS, Arrival, Challenge
from waiting_room.passes import Pass
from waiting_room.refusals import InvalidToken, NoTicket, RoomUnavailable

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.snapshot import SaleView
    from waiting_room.place import Place


class Knock(msgspec.Struct, frozen=True, gc=False):
    """How somebody comes to the door: the address as far as it can be believed, the solved challenge or pause, if any, and the
    random id of the device, which holds a place where no account does.
    """

    address: str = ""
    proof: str = ""
    device: str = ""


async def join(
    services: Services,
    slug: str,
    principal: Principal | None,
    ticket_token: str | None = None,
    knock: Knock | None = None,
) -> tuple[Told, bool]:
    """A place in the line, and whether it is a new one. A ticket of before a loss brings its place back.

    Where the sale allows guests, the place is the device's while no verified account asks for it.

    Raises UnknownSale, NotSignedIn, NotVerified, TooManyJoins, TooEarly, LineClosed, SoldOut, ChallengeRequired or RoomUnavailable.
    """
    sale = await services.snapshot.find(slug)
    knock = knock or Knock()
    holder = await _joining(services, sale, principal, ticket_token, knock.device)
    services.joins.admit(holder.ticket_id)
    arrival = _arrival(services, sale, holder, knock)
    lot = services.draws.lot(sale, holder.ticket_id)
    place = await services.room.join(sale.sale_id, holder.ticket_id, holder.shown, arrival, lot=lot)
    return tell(services, sale, holder, place), place.created


async def pause(
    services: Services,
    slug: str,
    principal: Principal | None,
    ticket_token: str | None,
    *,
    device: str = "",
    given: str = "",
) -> tuple[str, int]:
    """With what a buyer who cannot solve a challenge gets in, and in how many seconds. One that was `given` before stays good."""
    sale = await services.snapshot.find(slug)
    holder = await _joining(services, sale, principal, ticket_token, device)
    now_ms = time.time_ns() // 1_000_000
    known = services.challenges.read(given, sale.sale_id, holder.ticket_id, now_ms)
    if known is not None and known.is_pause:
        return given, max(0, ceil((known.ready_ms - now_ms) / 1000))
    return services.challenges.pause(sale.sale_id, holder.ticket_id, now_ms), PAUSE_MS // 1000


async def challenge(services: Services, slug: str) -> Challenge:
    """A challenge to solve for joining this sale. Raises UnknownSale or SnapshotStale."""
    sale = await services.snapshot.find(slug)
    return services.challenges.make(sale.sale_id, time.time_ns() // 1_000_000)


async def poll(services: Services, slug: str, principal: Principal | None, ticket_token: str | None) -> Told:
    """My place, by account or by ticket alone: told by this process if it knows that the ticket waits, else by the room.

    Raises UnknownSale, NoTicket, TooManyPolls or RoomUnavailable.
    """
    sale = services.snapshot.known(slug) or await services.snapshot.find(slug)
    holder = _named(services, sale, principal, ticket_token)
    if holder.device is not None:
        await _take_over(services, sale, holder.device, holder.ticket_id)
    services.polls.admit(holder.ticket_id)
    place = services.digests.place(holder.shown) if holder.shown else None
    if place is None:
        place = await _ask_room(services, sale, holder)
    return tell(services, sale, holder, place)


async def look(
    services: Services, slug: str, principal: Principal | None, ticket_token: str | None
) -> TicketBody:
    """As `poll`, but the room is asked first: for whoever has just changed something, perhaps through another process."""
    sale = await services.snapshot.find(slug)
    holder = await _holder(services, sale, principal, ticket_token)
    services.polls.admit(holder.ticket_id)
    return ticket_body(services, sale, holder, await _ask_room(services, sale, holder))


def known(
    services: Services, slug: str, principal: Principal | None, ticket_token: str | None
) -> TicketBody | None:
    """My place as far as this process knows it without asking anybody; None where it does not. Counts as no poll."""
    sale = services.snapshot.sale(slug)
    holder = _named(services, sale, principal, ticket_token)
    place = services.digests.place(holder.shown) if holder.shown else None
    return None if place is None else ticket_body(services, sale, holder, place)


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
    holder = await _holder(services, sale, principal, ticket_token)
    lot = _lot_of(services, sale, holder)
    await services.room.leave(sale.sale_id, holder.ticket_id, holder.shown, lot=lot)
    await _look_again(services, sale)


async def _look_again(services: Services, sale: SaleView) -> None:
    """Let this process know at once that somebody does not wait any more where they did; the others learn it with the next digest."""
    with suppress(RoomUnavailable):
        await services.digests.look_again(sale.sale_id)


async def extend(
    services: Services, slug: str, principal: Principal | None, ticket_token: str | None
) -> TicketBody:
    """One more turn window. Raises UnknownSale, NoTicket, NotCalled, AlreadyExtended or RoomUnavailable."""
    sale = await services.snapshot.find(slug)
    holder = await _holder(services, sale, principal, ticket_token)
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
    require_verified(principal)
    holder = await _holder(services, sale, principal, ticket_token)
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


def _arrival(services: Services, sale: SaleView, holder: Holder, knock: Knock) -> Arrival:
    now_ms = time.time_ns() // 1_000_000
    return Arrival(
        now_ms=now_ms,
        network=services.networks.tag(knock.address, now_ms / 1000),
        free_a_minute=services.settings.free_joins_per_network,
        proof=services.challenges.read(knock.proof, sale.sale_id, holder.ticket_id, now_ms),
    )


async def _joining(
    services: Services, sale: SaleView, principal: Principal | None, token: str | None, device: str
) -> Holder:
    """Whose place a join is about. Raises NotSignedIn or NotVerified where only accounts may wait."""
    if principal is not None and (principal.verified or not sale.guests):
        require_verified(principal)
        return await _holder(services, sale, principal, token)
    if not sale.guests:
        raise NotSignedIn("sign in first")
    shown = _read(services, sale, token)
    if shown is not None and tickets.is_guest(shown.ticket_id):
        return Holder(shown.ticket_id, shown, token)
    key = services.ticket_id_keys.by_id[sale.ticket_key_id]
    return Holder(tickets.guest_ticket_id(key, sale.sale_id, device or secrets.token_urlsafe(16)))


async def _holder(
    services: Services, sale: SaleView, principal: Principal | None, token: str | None
) -> Holder:
    """Whose place is meant, after a device's place that belongs to it has moved there. Raises NoTicket, TooManyPolls."""
    holder = _named(services, sale, principal, token)
    if holder.device is not None:
        await _take_over(services, sale, holder.device, holder.ticket_id)
    return holder


def _named(services: Services, sale: SaleView, principal: Principal | None, token: str | None) -> Holder:
    """Whose place is meant. Where ticket and account differ, the account wins; a broken ticket counts as none.

    A device's place is its own until the account that comes with it is verified. Raises NoTicket.
    """
    shown = _read(services, sale, token)
    if principal is None or principal.kind != "buyer":
        if shown is None:
            raise NoTicket("no ticket of this sale was shown")
        return Holder(shown.ticket_id, shown, token)
    ticket_id = ticket_id_of(services, sale, principal.subject_id)
    if shown is None or shown.ticket_id == ticket_id:
        return Holder(ticket_id, shown, token if shown else None)
    if not tickets.is_guest(shown.ticket_id):
        return Holder(ticket_id)
    return Holder(ticket_id, device=shown) if principal.verified else Holder(shown.ticket_id, shown, token)


async def _take_over(services: Services, sale: SaleView, device: tickets.Ticket, ticket_id: str) -> None:
    """Move a device's place to the account. The answer hands out another ticket, so that few need to try this again."""
    services.polls.admit(f"take-over {device.ticket_id}")
    if await services.room.adopt(sale.sale_id, device.ticket_id, ticket_id, device):
        await _look_again(services, sale)


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
