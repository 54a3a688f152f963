"""One round: fresh lanes, a crowd that buys, blows in the middle of it, and the verdict on what is left.

A blow falls when so many orders were accepted, not at a time: which number that is, who is hit and what every buyer does follow from
the round's seed alone. A blow that finds nothing to hit is passed over.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.crowd import Crowd, Lane, Size, crowd, plans
from tests.faults.journal import Recovery, recovery
from tests.faults.scene import Fault, Missed, Scene
from tests.faults.stage import Stage
from tests.faults.verdict import Verdict, judge

# Units for this share of the crowd: the others come too late, in the line or in the lane.
ON_SALE = 0.75
# A share of the orders of earlier waves that is accepted for certain before the next wave is sent: no more buyers are called than there
# are units, and some of them keep their passes for later waves.
REACHED = 0.6
LONGEST_WORDS = 500


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault as it struck at `at` (monotonic seconds), when `order` orders were accepted; it stood for `lasted_s`.

    `missed`: why it hit nothing, if so.
    """

    fault: Fault
    order: int
    at: float
    lasted_s: float
    hit: str = ""
    missed: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """What became of one round; the recovery is that from its last blow. `lanes` and `crowd` are what it was judged by.

    `played`: whether it came to its end, so that its figures say something.
    """

    seed: str
    blows: Sequence[Blow]
    recovery: Recovery
    verdict: Verdict
    lanes: Sequence[Lane] = ()
    crowd: Crowd = field(default_factory=lambda: Crowd(()))
    played: bool = True

    @property
    def name(self) -> str:
        """The faults that struck."""
        return " + ".join(blow.fault.name for blow in self.blows)

    @property
    def missed(self) -> bool:
        """Whether some blow hit nothing: then the round has proven nothing about it."""
        return any(blow.missed for blow in self.blows)


def play(stage: Stage, faults: Sequence[Fault], size: Size, seed: str) -> Round:
    """Play one round on a running stage."""
    chance = random.Random(seed)
    parts = plans(size, len(faults), chance)
    a_wave = size.buyers // (len(faults) + 1)
    lanes = stage.open_lanes(size.lanes, round(size.buyers * ON_SALE / size.lanes))
    blows: list[Blow] = []
    with crowd(stage.demo.url, stage.tokens(size.buyers), lanes, parts) as buyers:
        scene = Scene(stage, lanes, buyers, a_wave, chance)
        for wave, fault in enumerate(faults, 1):
            before = round(wave * a_wave * REACHED) - chance.randint(1, a_wave // 4)
            order = before + chance.randint(1, a_wave // 4)
            buyers.await_accepted(before)
            buyers.send(wave)
            buyers.await_accepted(order)
            blows.append(_strike(fault, scene, order))
    verdict = judge(stage, lanes, buyers, log_lost=any(fault.log_lost for fault in faults))
    stage.close_lanes(lanes)
    return Round(seed, blows, recovery(buyers.journal.orders, blows[-1].at), verdict, lanes, buyers)


def _strike(fault: Fault, scene: Scene, order: int) -> Blow:
    at, hit, missed = time.monotonic(), "", ""
    try:
        hit = fault.strike(scene)
    except Missed as nothing:
        missed = str(nothing)
    return Blow(fault, order, at, time.monotonic() - at, hit, missed)


def not_played(faults: Sequence[Fault], seed: str, why: str, error: Exception) -> Round:
    """The round that `error` has ended, or kept from beginning: nothing is known of it but this."""
    blows = [Blow(fault, 0, 0.0, 0.0) for fault in faults]
    said = f"{why}: {type(error).__name__}: {str(error)[:LONGEST_WORDS]}"
    return Round(seed, blows, Recovery(0.0, 0.0), Verdict(0, 0, 0, 0, [said]), played=False)
