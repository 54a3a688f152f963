"""One round: fresh lanes, a crowd that buys, blows in the middle of it, and the verdict on what is left.

A blow falls when so many orders were accepted, not at a time: which number that is, who is hit and what every buyer does follow from
the round's seed alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.crowd import Size, crowd, plans
from tests.faults.journal import Recovery, recovery
from tests.faults.scene import Fault, Scene
from tests.faults.stage import Stage
from tests.faults.verdict import Verdict, judge

# Units for this share of the crowd: the others come too late, in the line or in the lane.
ON_SALE = 0.75
# A share of the orders of earlier waves that is accepted for certain before the next wave is sent.
REACHED = 0.6


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault as it struck at `at` (monotonic seconds), when `order` orders were accepted; it stood for `lasted_s`."""

    fault: Fault
    order: int
    hit: str
    at: float
    lasted_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """What became of one round; the recovery is that from its last blow."""

    seed: str
    blows: Sequence[Blow]
    recovery: Recovery
    verdict: Verdict

    @property
    def name(self) -> str:
        """The faults that struck."""
        return " + ".join(blow.fault.name for blow in self.blows)


def play(stage: Stage, faults: Sequence[Fault], size: Size, seed: str) -> Round:
    """Play one round on a running stage. Raises AssertionError where a fault could not even strike."""
    chance = random.Random(seed)
    parts = plans(size, len(faults), chance)
    a_wave = size.buyers // (len(faults) + 1)
    lanes = stage.open_lanes(size.lanes, round(size.buyers * ON_SALE / size.lanes))
    blows = []
    with crowd(stage.demo.url, stage.tokens(size.buyers), lanes, parts) as buyers:
        scene = Scene(stage, lanes, buyers, a_wave, chance)
        for wave, fault in enumerate(faults, 1):
            order = round(wave * a_wave * REACHED) + chance.randint(1, a_wave // 4)
            buyers.await_accepted(order - chance.randint(1, a_wave // 4))
            buyers.send(wave)
            buyers.await_accepted(order)
            at = time.monotonic()
            hit = fault.strike(scene)
            blows.append(Blow(fault, order, hit, at, time.monotonic() - at))
    verdict = judge(stage, lanes, buyers, log_lost=any(fault.log_lost for fault in faults))
    stage.close_lanes(lanes)
    return Round(seed, blows, recovery(buyers.journal.orders, blows[-1].at), verdict)
