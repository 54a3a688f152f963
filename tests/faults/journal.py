"""What the buyers of one round have seen, with the times at which they saw it, and what follows from that alone. Pure but for its lock.

Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(slots=True)
class Seen:
    """One order as its buyer saw it.

    `sent_at`: when it was first sent; `asked_at`: when the request was sent that got the 202; `accepted_at`: when that came.
    """

    lane: int
    sent_at: float = 0.0
    asked_at: float = 0.0
    accepted_at: float | None = None
    decided_at: float | None = None
    pressed_at: float | None = None
    paid_at: float | None = None
    order_id: str = ""
    state: str = ""


class Journal:
    """The orders of a round, and a way to wait for the moment at which so many were accepted."""

    def __init__(self) -> None:
        self._orders: list[Seen] = []
        self._changed = threading.Condition()

    def accepted(self, seen: Seen) -> None:
        """A 202 has come."""
        with self._changed:
            self._orders.append(seen)
            self._changed.notify_all()

    def await_accepted(self, count: int, within_s: float) -> bool:
        """Whether so many orders were accepted within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._orders) >= count, within_s)

    @property
    def orders(self) -> Sequence[Seen]:
        """Every accepted order, in the order in which the answers came."""
        with self._changed:
            return list(self._orders)


def recovery_s(orders: Iterable[Seen], blow: float) -> float:
    """Seconds from the blow until all is well again, as buyers see it.

    Every order that was accepted before the blow is decided; in every lane one that was accepted by a request sent after it is
    decided too; and a payment that was made after it has arrived.
    """
    orders = list(orders)
    waited = [seen.decided_at for seen in orders if seen.accepted_at and seen.accepted_at <= blow]
    by_lane = sorted((seen for seen in orders if seen.asked_at > blow), key=lambda seen: seen.lane)
    for _, fresh in groupby(by_lane, key=lambda seen: seen.lane):
        waited += _first(seen.decided_at for seen in fresh)
    waited += _first(seen.paid_at for seen in orders if seen.pressed_at and seen.pressed_at > blow)
    return max((at - blow for at in waited if at is not None and at > blow), default=0.0)


def overtaken(orders: Iterable[Seen], seqs: dict[str, int]) -> int:
    """How many orders were decided before one whose 202 had come before they were even sent. `seqs`: order id -> seq of its lane.

    What clients can know of the order of acceptance without believing the server's own numbers.
    """
    count = 0
    by_lane = sorted(
        (seen for seen in orders if seen.order_id in seqs), key=lambda seen: (seen.lane, seqs[seen.order_id])
    )
    for _, decided in groupby(by_lane, key=lambda seen: seen.lane):
        latest_sent = 0.0
        for seen in decided:
            assert seen.accepted_at is not None
            count += latest_sent > seen.accepted_at
            latest_sent = max(latest_sent, seen.sent_at)
    return count


def _first(times: Iterable[float | None]) -> list[float]:
    known = [at for at in times if at is not None]
    return [min(known)] if known else []
