"""A place in words: the body that API and pages show, and the same in JSON.

What a whole crowd asks for all the time, the place of one who waits, is written as text without making the body first: byte for
byte what encoding the body would give. Decides nothing, asks nobody.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from gateway.bodies.line import EstimateBody, ReasonBody, TicketBody
from gateway.views import message_of, moment
from waiting_room import ticket as tickets

if TYPE_CHECKING:
    from gateway.bodies.draws import DrawReceiptBody
    from gateway.services import Services
    from gateway.snapshot import SaleView
    from waiting_room.estimate import Estimate, Reason
    from waiting_room.place import Place

_encode = msgspec.json.Encoder().encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Holder(msgspec.Struct, frozen=True, gc=False):
    """Whose place it is: the ticket id, and the ticket that was shown, if a valid one was. `device`: the ticket of a device whose
    place is to move to this account first.
    """

    ticket_id: str
    shown: tickets.Ticket | None = None
    token: str | None = None
    device: tickets.Ticket | None = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """The answer to whoever asks for a place: the ticket to keep, how many are ahead where that is shown, and the body in JSON."""

    ticket: str
    ahead: int | None
    encoded: bytes


def tell(services: Services, sale: SaleView, holder: Holder, place: Place) -> Told:
    """The answer to whoever holds this place, in JSON."""
    now_us = time.time_ns() // 1_000
    if place.position is None or sale.draw is not None:
        body = ticket_body(services, sale, holder, place)
        return Told(body.ticket, body.ahead, _encode(body))
    ticket = _token(services, sale, holder, place)
    text = waiting_text(sale, holder.ticket_id, ticket, place, now_us)
    return Told(ticket, place.ahead, text.encode())


def ticket_body(services: Services, sale: SaleView, holder: Holder, place: Place) -> TicketBody:
    """The answer to whoever holds this place."""
    ticket = _token(services, sale, holder, place)
    receipt = services.draws.receipt(sale, holder.ticket_id, place)
    return body_of(sale, holder.ticket_id, ticket, place, time.time_ns() // 1_000, receipt)


def body_of(
    sale: SaleView,
    ticket_id: str,
    ticket: str,
    place: Place,
    now_us: int,
    receipt: DrawReceiptBody | None = None,
) -> TicketBody:
    """The answer at `now_us` (unix microseconds), with this ticket to keep."""
    now = _EPOCH + timedelta(microseconds=now_us)
    return TicketBody(
        ticket_id=ticket_id,
        ticket=ticket,
        sale=sale.slug,
        state=place.state,
        stock_outlook=place.stock_outlook,
        poll_after_ms=place.poll_after_ms,
        as_of=now,
        outcome=place.outcome if place.state == "done" else None,
        number=place.number or None,
        position=place.position,
        ahead=place.ahead,
        waiting=place.waiting,
        estimate=_estimate(place.estimate, now_us),
        be_back_by=_be_back_by(place, now),
        turn_expires_at=moment(place.turn_expires_at_ms),
        extended=place.extended or None,
        draw_receipt=receipt,
        message=message_of(sale.message_ko, sale.message_en),
    )


def waiting_text(sale: SaleView, ticket_id: str, ticket: str, place: Place, now_us: int) -> str:
    """The JSON of `body_of` for a place that shows a position."""
    expected, by = place.estimate, ""
    if expected is None:
        raise ValueError("a place in line comes with an estimate")
    second, micros = divmod(now_us, 1_000_000)
    part = f".{micros:06d}Z" if micros else "Z"
    if expected.low_s is not None:
        by = f',"be_back_by":"{_second_text(second + expected.low_s)}{part}"'
    # !s, because a word of an enumeration is formatted at three times the cost of its text.
    return (
        f'{{"ticket_id":"{ticket_id}","ticket":"{ticket}","sale":"{sale.slug}","state":"{place.state!s}",'
        f'"stock_outlook":"{place.stock_outlook!s}","poll_after_ms":{place.poll_after_ms},"as_of":"{_second_text(second)}{part}",'
        f'"number":{place.number},"position":{place.position},"ahead":{place.ahead},"waiting":{place.waiting},'
        f'"estimate":{_estimate_text(expected, now_us)}{by}{_message_text(sale.message_ko, sale.message_en)}}}'
    )


def _token(services: Services, sale: SaleView, holder: Holder, place: Place) -> str:
    """A ticket that still says the truth is handed back as it is."""
    shown = holder.shown
    if holder.token and shown and (shown.number, shown.store_id) == (place.mark, place.store_id):
        return holder.token
    fresh = tickets.Ticket(sale.sale_id, holder.ticket_id, place.mark, place.store_id)
    return tickets.issue(fresh, sale.ticket_key_id, services.ticket_keys)


def _estimate(found: Estimate | None, now_us: int) -> EstimateBody | None:
    if found is None:
        return None
    return EstimateBody(low_s=found.low_s, high_s=found.high_s, reason=_reason(found, now_us))


def _reason(found: Estimate, now_us: int) -> ReasonBody | None:
    return (
        None if found.reason is None else ReasonBody(code=found.reason, at=moment(_since_ms(found, now_us)))
    )


def _since_ms(found: Estimate, now_us: int) -> int:
    """Since when the reason holds; what began at no known time is told as of now."""
    return found.reason_at_ms or now_us // 1_000_000 * 1000


def _be_back_by(place: Place, now: datetime) -> datetime | None:
    """Until when one may stay away: the end of the come-back time, or the soonest that the turn may come."""
    if place.comeback_until_ms is not None:
        return moment(place.comeback_until_ms)
    if place.estimate is None or place.estimate.low_s is None:
        return None
    return now + timedelta(seconds=place.estimate.low_s)


# ---------------------------------------------------------------- the same as text


def _estimate_text(found: Estimate, now_us: int) -> str:
    low = "null" if found.low_s is None else found.low_s
    high = "null" if found.high_s is None else found.high_s
    if found.reason is None:
        return f'{{"low_s":{low},"high_s":{high}}}'
    reason = _reason_text(found.reason, _since_ms(found, now_us))
    return f'{{"low_s":{low},"high_s":{high},"reason":{reason}}}'


@lru_cache(maxsize=1024)  # the same few for everybody in line
def _reason_text(code: Reason, at_ms: int) -> str:
    return _encode(ReasonBody(code=code, at=moment(at_ms))).decode()


@lru_cache(maxsize=256)
def _message_text(ko: str | None, en: str | None) -> str:
    """What the operator tells everybody, with what leads up to it."""
    message = message_of(ko, en)
    return "" if message is None else f',"message":{_encode(message).decode()}'


@lru_cache(
    maxsize=8192
)  # a crowd is told few different ones: those of the present second, and of the ends of its waits
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
