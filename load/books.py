"""The books of one sale after a run, read straight from the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from sqlalchemy import func, select

from shop.storage.database import Tx
from shop.storage.tables import call_log, orders, sale_items


@dataclass(frozen=True)
class Books:
    """What a sale's tables say. `faults` holds one sentence for each law that does not hold."""

    allotted: int
    held: int
    sold: int
    orders_by_state: dict[str, int]
    decided: int
    calls: int
    faults: list[str] = field(default_factory=list)

    def as_text(self) -> str:
        """A few lines for a person."""
        lines = [
            f"stock: allotted {self.allotted}, sold {self.sold}, held {self.held}, left {self.allotted - self.sold - self.held}",
            f"orders: {self.orders_by_state}, decided {self.decided}; calls {self.calls}",
        ]
        return "\n".join(lines + (self.faults or ["no oversell, no gap, no inversion"]))


def read_books(tx: Tx, sale_id: str) -> Books:
    """The sale's stock, orders and calls, with every law that they break."""
    stock = tx.execute(
        select(
            func.sum(sale_items.c.allotted), func.sum(sale_items.c.held), func.sum(sale_items.c.sold)
        ).where(sale_items.c.sale_id == sale_id)
    ).one()
    allotted, held, sold = (int(value) for value in stock)
    states = tx.execute(
        select(orders.c.state, func.count()).where(orders.c.sale_id == sale_id).group_by(orders.c.state)
    ).all()
    decided = tx.execute(
        select(orders.c.seq, orders.c.accepted_no)
        .where(orders.c.sale_id == sale_id, orders.c.seq.is_not(None))
        .order_by(orders.c.seq)
    ).all()
    called = tx.execute(
        select(call_log.c.number)
        .where(call_log.c.sale_id == sale_id, call_log.c.event == "call")
        .order_by(call_log.c.entry_id)
    )
    # Whoever missed a turn is called again under the same number, and that overtakes nobody.
    numbers = list(dict.fromkeys(called.scalars()))
    faults = []
    if held + sold > allotted:
        faults.append(f"OVERSOLD: held {held} + sold {sold} > allotted {allotted}")
    if [row.seq for row in decided] != list(range(1, len(decided) + 1)):
        faults.append("GAP: the decisions' seq is not 1, 2, 3 …")
    inversions = sum(later.accepted_no < earlier.accepted_no for earlier, later in pairwise(decided))
    if inversions:
        faults.append(f"INVERSIONS: {inversions} decisions before an order that was accepted earlier")
    overtaken = sum(later < earlier for earlier, later in pairwise(numbers))
    if overtaken:
        faults.append(f"OVERTAKEN: {overtaken} calls before a lower number")
    return Books(allotted, held, sold, {row[0]: row[1] for row in states}, len(decided), len(numbers), faults)
