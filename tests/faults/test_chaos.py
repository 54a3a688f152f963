"""The quick faults of `make chaos`, one after the other while one crowd buys: nothing lost, nothing doubled, nobody overtaken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.chaos import FAULTS
from tests.faults.crowd import PROMPT, Size
from tests.faults.report import line
from tests.faults.rounds import play
from tests.faults.stage import Stage, stage

QUICK = [fault for fault in FAULTS.values() if fault.quick]


@pytest.fixture(scope="module")
def set_up() -> Iterator[Stage]:
    with stage() as running:
        yield running


@pytest.mark.timeout(300)
def test_a_sale_outlives_every_quick_fault(set_up: Stage) -> None:
    played = play(set_up, QUICK, Size(120, 3, PROMPT), seed="the quick ones")
    print(line(played))
    assert played.verdict.good, line(played)
    assert played.verdict.accepted >= 80
