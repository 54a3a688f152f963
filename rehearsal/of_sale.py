"""The plan of a rehearsal that a sale itself suggests."""

from __future__ import annotations

from rehearsal.plan import LONGEST_S, MOST_BUYERS, Plan
from shop.sales.reading import Sale


def plan_of(sale: Sale) -> Plan:
    """The settings of a sale, with a crowd of ten for each unit."""
    stock = max(1, sum(item.allotted for item in sale.items))
    lasts_s = int((sale.closes_at - sale.opens_at).total_seconds())
    return Plan(
        crowd=min(MOST_BUYERS, max(100, 10 * stock)),
        stock=min(1_000_000, stock),
        calls_per_minute=sale.calls_per_minute,
        capacity=sale.capacity,
        turn_window_s=min(LONGEST_S, sale.turn_window_s),
        comeback_s=min(LONGEST_S, sale.comeback_s),
        hold_s=min(LONGEST_S, sale.hold_s),
        pass_s=min(LONGEST_S, sale.pass_s),
        over_call_limit=sale.over_call_limit,
        lasts_s=max(1, min(LONGEST_S, lasts_s)),
    )
