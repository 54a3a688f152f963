"""One round: fresh lanes, a crowd that buys, a blow in the middle of it, and the verdict on what is left.

The blow falls when so many orders were accepted, not at a time: which number that is, who is hit and what every buyer does follow from
the round's seed alone.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from tests.faults.crowd import crowd, plans
from tests.faults.journal import recovery_s
from tests.faults.scene import Fault, Scene
from tests.faults.stage import Stage
from tests.faults.verdict import Verdict, judge

# Units for this share of the crowd: the others come too late, in the line or in the lane.
ON_SALE = 0.75


@dataclass(frozen=True, slots=True)
class Size:
    """How many buyers spread over how many lanes."""

    buyers: int
    lanes: int


@dataclass(frozen=True, slots=True)
class Round:
    """What became of one round. `lasted_s`: how long the fault stood; `recovery_s` counts from the blow."""

    fault: Fault
    seed: str
    at_order: int
    hit: str
    lasted_s: float
    recovery_s: float
    verdict: Verdict


def play(stage: Stage, fault: Fault, size: Size, seed: str) -> Round:
    """Play one round on a running stage. Raises AssertionError where the fault could not even strike."""
    chance = random.Random(seed)
    parts = plans(size.buyers, size.lanes, chance)
    at_order = chance.randint(size.buyers // 8, size.buyers // 4)
    further = chance.randint(1, size.buyers // 8)
    lanes = stage.open_lanes(size.lanes, round(size.buyers * ON_SALE / size.lanes))
    with crowd(stage.demo.url, stage.tokens(size.buyers), lanes, parts) as buyers:
        buyers.await_accepted(at_order)
        buyers.signal.set()  # those who kept their passes order now, all at once
        buyers.await_accepted(at_order + further)
        blow = time.monotonic()
        hit = fault.strike(Scene(stage, lanes, buyers, chance))
        lasted_s = time.monotonic() - blow
    verdict = judge(stage, lanes, buyers, log_lost=fault.log_lost)
    recovered = recovery_s(buyers.journal.orders, blow)
    stage.close_lanes(lanes)
    return Round(fault, seed, at_order + further, hit, lasted_s, recovered, verdict)
