"""Random traces of orders, payments, refunds and news in any order: after every step the laws hold and the lane decides as foretold.

`make model ROUNDS=n SEED=s` runs any number; a failure shows the seed and every step that led to it.
"""

from __future__ import annotations

import os

import pytest

from shop.storage.database import Database
from tests.model.market import Market

ROUNDS = int(os.environ.get("ROUNDS") or 6)
SEED = int(os.environ.get("SEED") or 0)
LENGTH = 60


@pytest.mark.timeout(0)
def test_whatever_happens_money_units_and_decisions_are_what_they_should_be(db: Database) -> None:
    for seed in range(SEED, SEED + ROUNDS):
        market = Market(db, seed)
        for _ in range(LENGTH):
            market.step()
        market.settle()
