"""The made-up crowd: when each buyer comes, and what they will do. The same plan and seed give the same crowd, to the millisecond.

Knows neither Redis nor the sale's rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from rehearsal.plan import Plan

LEAVES_WITHIN_MS = 30 * 60_000
# From the call to the poll that shows it, and from there to the press of the button.
SEEN_WITHIN_MS = (500, 6_000)
ANSWER_MEDIAN_S, ANSWER_P90_S = 8.0, 30.0
# The 90th percentile of the normal distribution.
_Z90 = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class Buyer:
    """Times in ms: `comes_ms` after the opening (below 0: before it), `leaves_ms` after the later of both, the rest after what
    went before. None: does not do it.
    """

    ticket_id: str
    comes_ms: int
    leaves_ms: int | None
    answers_first: bool
    comes_back_ms: int | None  # after a missed turn
    sees_ms: int
    claims_ms: int
    orders_ms: int
    pays_ms: int | None


def crowd_of(plan: Plan) -> list[Buyer]:
    """Everybody, in the order of coming."""
    chance = Random(plan.seed)
    early = round(plan.crowd * plan.before_opening)
    moments = [-chance.randint(1, 30 * 60_000) for _ in range(early)]
    half_life = plan.spike_s * 1000 / math.log(2)
    moments += [math.ceil(chance.expovariate(1 / half_life)) for _ in range(plan.crowd - early)]
    return [_buyer(number, moment, plan, chance) for number, moment in enumerate(sorted(moments), 1)]


def _buyer(number: int, comes_ms: int, plan: Plan, chance: Random) -> Buyer:
    # Every buyer uses up the same numbers of the source, so that one share changes nobody else's mind.
    shows, returns, leaves, pays = (chance.random() for _ in range(4))
    patience, absence = chance.random(), chance.random()
    return Buyer(
        ticket_id=f"buyer{number:07}",
        comes_ms=comes_ms,
        leaves_ms=1 + int(patience * LEAVES_WITHIN_MS) if leaves < plan.leave_share else None,
        answers_first=shows >= plan.no_show_share,
        comes_back_ms=_wanted(
            1 + int(absence * plan.comeback_s * 1000), plan.comeback_s > 0 and returns < plan.come_back_share
        ),
        sees_ms=chance.randint(*SEEN_WITHIN_MS),
        claims_ms=_takes_ms(ANSWER_MEDIAN_S, ANSWER_P90_S, chance),
        orders_ms=_takes_ms(plan.checkout_median_s, plan.checkout_p90_s, chance),
        pays_ms=_wanted(
            _takes_ms(plan.payment_median_s, plan.payment_p90_s, chance), pays >= plan.unpaid_share
        ),
    )


def _wanted(value: int, wanted: bool) -> int | None:
    return value if wanted else None


def _takes_ms(median_s: float, p90_s: float, chance: Random) -> int:
    """A duration that many small delays make up: log-normal, given by its median and its 90th percentile."""
    sigma = math.log(p90_s / median_s) / _Z90
    return max(1, round(1000 * median_s * math.exp(sigma * chance.gauss(0, 1))))
