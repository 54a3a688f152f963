"""Random traces of orders, payments, refunds and news in any order: paper and shop agree after every step (see `market`).

`make model ROUNDS=n SEED=s` runs any number; a failure is made small and shown as the program that leads to it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from shop.storage.database import Database
from tests.model.market import Market
from tests.model.stall_rows import Clock

ROUNDS = int(os.environ.get("ROUNDS") or 8)
SEED = int(os.environ.get("SEED") or 0)


@pytest.mark.timeout(0)
def test_whatever_happens_orders_stock_and_money_are_what_the_paper_says(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    clock.steer(monkeypatch)
    choices = settings(
        max_examples=ROUNDS,
        stateful_step_count=60,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(lambda: Market(db, clock)), settings=choices)
