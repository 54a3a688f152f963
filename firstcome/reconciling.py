"""The verb `reconcile`: database and Redis of a running product are compared, and put right as far as that was asked for."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

from firstcome import clients, wiring
from firstcome.settings import Settings
from shop.stock.mismatch import Mismatch
from shop.stock.reconcile import reconcile as compare
from shop.stock.repair import repair
from workers.copies import mend_copies


@dataclass(frozen=True, slots=True)
class Found:
    """What was put right in the database, and what is off there still."""

    mended: list[Mismatch]
    left: list[Mismatch]


def books(settings: Settings, why: str | None) -> Found:
    """Compare the books; with a reason `why` also repair them. Raises `Unavailable`."""
    db = wiring.database(settings)
    try:
        left = compare(db)
        mended: list[Mismatch] = []
        if left and why is not None:
            mended = repair(db, why=why, actor=f"shell:{getpass.getuser()}"[:32])
            left = compare(db)
        return Found(mended, left)
    finally:
        db.dispose()


def copies(settings: Settings) -> list[Mismatch]:
    """Lay wrong copies in Redis anew; what was wrong about them. Raises `Unavailable` and redis-py's RedisError."""
    db = wiring.database(settings)
    client = clients.redis_sync(settings.redis_url)
    try:
        return mend_copies(db, client)
    finally:
        client.close()
        db.dispose()
