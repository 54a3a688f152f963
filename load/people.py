"""Many buyers for a load run: with tokens handed out beforehand, or with a password to sign in by."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from firstcome import wiring
from firstcome.demo_data import HASHING_THREADS
from firstcome.settings import DEMO_FILE, load_settings
from shop.accounts.passwords import Hasher
from shop.accounts.signup import create_verified_account
from tests.running import DEMO_PASSWORD, RunningDemo


class _OneHash(Hasher):
    """Hashes each password once, at its full cost: signing in costs what it always does, making 10,000 people does not."""

    def hash(self, password: str) -> str:
        return self._once(password)

    @functools.cache  # noqa: B019 - lives as long as the run
    def _once(self, password: str) -> str:
        return super().hash(password)


def with_tokens(demo: RunningDemo, count: int) -> list[dict[str, str]]:
    """Buyers who are signed in already."""
    return [json.loads(line) for line in demo.verb("demo-tokens", "--count", str(count)).stdout.splitlines()]


def with_passwords(demo: RunningDemo, count: int) -> list[dict[str, str]]:
    """Buyers who have to sign in."""
    settings = load_settings(demo.folder / DEMO_FILE)
    db = wiring.database(settings)
    hasher = _OneHash(
        memory_kib=settings.argon2_memory_kib,
        time_cost=settings.argon2_time_cost,
        parallelism=settings.argon2_parallelism,
    )
    kit = dataclasses.replace(wiring.account_kit(settings), hasher=hasher)

    def make(number: int) -> dict[str, str]:
        email = f"shopper{number}@example.test"
        create_verified_account(db, kit, email, DEMO_PASSWORD, f"Shopper {number}")
        return {"email": email, "password": DEMO_PASSWORD}

    def all_of_them() -> Iterator[dict[str, str]]:
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            yield from pool.map(make, range(1, count + 1))

    try:
        return list(all_of_them())
    finally:
        db.dispose()
