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

    `sent_at`: when it was first sent; `accepted_at`: when the 202 came; `pressed_at`: when it was paid at the provider.
    """

    lane: int
    sent_at: float = 0.0
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


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long until all was well again: the longest that a buyer waited from the blow on, in seconds."""

    decided_s: float  # from sending an order to its decision
    paid_s: float  # from paying at the provider to the paid order


def recovery(orders: Iterable[Seen], blow: float) -> Recovery:
    """Of what had begun before the blow, the part after it counts."""
    orders = list(orders)
    return Recovery(
        decided_s=_longest(((seen.sent_at, seen.decided_at) for seen in orders), blow),
        paid_s=_longest(((seen.pressed_at, seen.paid_at) for seen in orders), blow),
    )


def _longest(waits: Iterable[tuple[float | None, float | None]], blow: float) -> float:
    return max(
        (until - max(since, blow) for since, until in waits if since and until and until > blow), default=0.0
    )


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
