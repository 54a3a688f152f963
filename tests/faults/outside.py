"""Blows at whoever has just changed something outside the database, or is about to tell of a change, and has not written it down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psutil
from sqlalchemy import func, select

from shop.mail.effects import LEASE
from shop.mail.outbox import KIND as MAIL
from shop.payments.rules import PaymentState
from shop.storage.database import Tx
from shop.storage.tables import outbox, payments
from tests.faults.scene import Missed, Scene, fault, resume, sighted, stopping

# A client gives Redis 1 s: whoever tells something waits for it no longer.
HELD_BACK_S = 0.9
TRIES = 20


@fault("outbox worker killed")
def killed(scene: Scene) -> str:
    """A worker dies while the provider does what it was asked for: another one asks again under the same key, and it is done once."""
    with _asking(scene) as horse:
        psutil.Process(horse.ppid()).kill()  # takes its work-horse along
    return f"the worker of work-horse {horse.pid}"


@fault("outbox worker stopped")
def stopped(scene: Scene) -> str:
    """A worker stands still in the middle of asking, beyond its lease: another one asks as well, and what the first then does is nothing."""
    with _asking(scene) as horse:
        horse.suspend()
    time.sleep(LEASE.total_seconds() + 3)  # the fault is this time itself
    resume([horse])
    return f"work-horse {horse.pid}"


@contextlib.contextmanager
def _asking(scene: Scene) -> Iterator[psutil.Process]:
    """A work-horse in the middle of asking the provider, which reads the question and answers it only after the body."""
    stage = scene.stage
    idle = [*stopping(stage.outbox_workers)]
    try:
        sighted(lambda: stage.db.read(_wanted), "a refund or a cancellation waits", 60)
        silent = list(stopping(stage.simulators))
    finally:
        resume(idle)
    try:
        yield scene.one_of(lambda: stage.asking, "work-horse that asks the provider")
    finally:
        resume(silent)


def _wanted(tx: Tx) -> int:
    waiting = select(func.count()).where(
        outbox.c.kind != MAIL, outbox.c.done_at.is_(None), outbox.c.lease_until.is_(None)
    )
    return int(tx.scalar(waiting) or 0)


@fault("untold")
def untold(scene: Scene) -> str:
    """The gateway dies with callbacks committed that it has not told Redis of: the sweeper tells of stock and ended orders."""
    stage = scene.stage
    for _ in range(TRIES):
        before = stage.db.read(_settled)
        stage.store.client_pause(int(HELD_BACK_S * 1000), all=False)
        until = time.monotonic() + HELD_BACK_S * 0.7
        while time.monotonic() < until:
            if (after := stage.db.read(_settled)) > before:
                victims = stage.gateways
                for victim in victims:
                    victim.kill()
                return f"{len(victims)} gateways with {after - before} payments untold"
            time.sleep(0.01)
    raise Missed(f"in {TRIES} tries no callback was settled while Redis took nothing")


def _settled(tx: Tx) -> int:
    paid = select(func.count()).where(payments.c.state == PaymentState.SUCCEEDED)
    return int(tx.scalar(paid) or 0)
