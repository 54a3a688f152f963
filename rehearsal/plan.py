"""What is rehearsed: the crowd that is expected, and the settings of the sale. Values only; every limit stands at its field."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

MOST_BUYERS = 200_000
LONGEST_S = 6 * 3600

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[int, Meta(ge=1, le=LONGEST_S)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A crowd and a sale. Shares are of 1, durations in seconds.

    `before_opening` is the share that waits when the sale opens; of the others half come within `spike_s`. `no_show_share` does not
    answer the first call, and of those `come_back_share` returns within the come-back time. `leave_share` loses patience in the first
    half hour of waiting. Of the orders `unpaid_share` is never paid. Times to fill in the order and to pay have a median and a 90th
    percentile. Everybody wants one unit; a sale that lasts longer than six hours is rehearsed for six.
    """

    crowd: Annotated[int, Meta(ge=1, le=MOST_BUYERS)] = 10_000
    before_opening: Share = 0.6
    spike_s: Seconds = 120
    no_show_share: Share = 0.1
    come_back_share: Share = 0.3
    leave_share: Share = 0.1
    unpaid_share: Share = 0.05
    checkout_median_s: Seconds = 40
    checkout_p90_s: Seconds = 120
    payment_median_s: Seconds = 45
    payment_p90_s: Seconds = 180
    stock: Count = 1_000
    calls_per_minute: Count = 600
    capacity: Count = 200
    turn_window_s: Seconds = 120
    comeback_s: Annotated[int, Meta(ge=0, le=LONGEST_S)] = 600
    hold_s: Seconds = 600
    pass_s: Seconds = 600
    over_call_limit: Annotated[float, Meta(ge=1, le=2)] = 1.0
    lasts_s: Seconds = 7_200
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 1


def fault_of(plan: Plan) -> tuple[str, str] | None:
    """What is wrong with a plan as a whole: the field and why; None for a plan that can be rehearsed."""
    for what in ("checkout", "payment"):
        if getattr(plan, f"{what}_p90_s") < getattr(plan, f"{what}_median_s"):
            return f"{what}_p90_s", "must not be below the median"
    return None
