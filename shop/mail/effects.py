"""Effects outside the database: written in the transaction that wants them, carried out afterwards, at least once.

A row is claimed by a conditional UPDATE and carried out outside any transaction, under a short lease that is renewed meanwhile.
Whoever dies in between leaves a lease that runs out; somebody else then does it again, so every effect must bear repetition. What
keeps failing, or killing, is retried ever more slowly, then kept as dead until an operator has it tried again. The payload is
sealed and emptied once done. Knows neither letters nor providers: each kind of effect brings its own function.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import ColumnElement, and_, or_, select, update

from shop.errors import ShopError, Unavailable
from shop.storage.database import Database, Tx
from shop.storage.tables import outbox
from shop.vault import Vault, place

LEASE = timedelta(seconds=10)  # so long after a worker has died another one may begin
RENEWALS = 4  # in the life of a lease: a renewal or two may come late
# A mail server is given 10 s for each of its replies. What takes longer than this hangs, and may be begun by somebody else.
LONGEST_EFFECT_S = 120.0
ATTEMPTS = 12  # with the waits below about four hours
FIRST_WAIT_S = 5
LONGEST_WAIT_S = 3600
EFFECT_KINDS = ("mail", "cancel", "refund")  # those that are named after an order or a payment

log = structlog.get_logger(__name__)

Effect = Callable[[dict[str, Any]], None]


class EffectFailed(ShopError):
    """An effect could not be carried out. `what` is kept and shown to operators: no personal data, at most 200 characters.

    `permanent`: trying again would change nothing.
    """

    def __init__(self, what: str, *, permanent: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Request:
    """An effect that is wanted: its kind, a name under which it is wanted only once, and what its function needs (JSON)."""

    kind: str
    dedupe: str
    payload: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Claim:
    """An effect that is ours while it is the attempt of this number, and leased."""

    outbox_id: int
    kind: str
    dedupe: str
    sealed: bytes = field(repr=False)
    attempts: int


def put_effects(tx: Tx, vault: Vault, requests: Sequence[Request]) -> None:
    """Have these effects carried out after the commit; those whose `dedupe` was put before are left out."""
    now = tx.now
    payloads = vault.seal_all(
        [(msgspec.json.encode(one.payload).decode(), _place(one.dedupe)) for one in requests]
    )
    rows = [
        {
            "kind": request.kind,
            "dedupe": request.dedupe,
            "payload_sealed": sealed,
            "attempts": 0,
            "due_at": now,
            "created_at": now,
        }
        for request, sealed in zip(requests, payloads, strict=True)
    ]
    tx.insert_missing(outbox, rows)


def wait_s(attempts: int, spread: float) -> float:
    """Seconds until the next try after `attempts` failed ones: doubling, at most an hour, `spread` in 0..1 as jitter."""
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S << (attempts - 1))
    return longest * (0.5 + spread / 2)


def deliver_due(
    db: Database,
    vault: Vault,
    effects: Mapping[str, Effect],
    *,
    limit: int = 100,
    lease: timedelta = LEASE,
    attempts: int = ATTEMPTS,
) -> int:
    """Carry out what is due, oldest first, at most `limit`; returns how many succeeded.

    Only kinds in `effects` are touched. Any number of processes may do this at the same time. `lease`: how long after the death of
    a process its effect is another's.
    """
    done = 0
    for outbox_id in db.read(_due, list(effects), limit):
        claim = db.run(_claim, outbox_id, lease)
        if claim is not None:
            with _kept(db, claim, lease):
                failed = _attempt(vault, claim, effects[claim.kind], attempts)
            if failed is None:
                db.run(_finish, claim)
                done += 1
            else:
                db.run(_postpone, claim, failed, attempts)
    return done


def due_kinds(tx: Tx) -> set[str]:
    """The kinds of effects that wait to be carried out now."""
    return set(tx.scalars(select(outbox.c.kind).where(_is_due(tx)).distinct()))


@dataclass(frozen=True, slots=True)
class Stuck:
    """An effect that was given up."""

    outbox_id: int
    kind: str
    attempts: int
    last_error: str
    dead_at: datetime


def stuck(tx: Tx, limit: int = 100) -> list[Stuck]:
    """What was given up, newest first."""
    columns = (outbox.c.outbox_id, outbox.c.kind, outbox.c.attempts, outbox.c.last_error, outbox.c.dead_at)
    rows = tx.all(
        select(*columns)
        .where(outbox.c.done_at.is_(None), outbox.c.dead_at.is_not(None))
        .order_by(outbox.c.dead_at.desc())
        .limit(limit)
    )
    return [Stuck(**row._mapping) for row in rows]


def try_again(tx: Tx, outbox_id: int) -> bool:
    """Have a given-up effect tried afresh; False if there is no such one."""
    revived = {"dead_at": None, "attempts": 0, "due_at": tx.now, "lease_until": None}
    dead = and_(outbox.c.outbox_id == outbox_id, outbox.c.dead_at.is_not(None), outbox.c.done_at.is_(None))
    return tx.execute(update(outbox).where(dead).values(revived)).rowcount == 1


def of_subject(subject: str) -> ColumnElement[bool]:
    """The effects of an order or a payment, by the index of their names."""
    name = outbox.c.dedupe
    named = [name == f"{kind}:{subject}" for kind in EFFECT_KINDS]
    # What begins with "kind:subject:" lies before "kind:subject;", the next sign.
    named += [(name > f"{kind}:{subject}:") & (name < f"{kind}:{subject};") for kind in EFFECT_KINDS]
    return or_(*named)


def _place(dedupe: str) -> str:
    return place("outbox.payload_sealed", dedupe)


def _is_due(tx: Tx) -> ColumnElement[bool]:
    return and_(
        outbox.c.done_at.is_(None),
        outbox.c.dead_at.is_(None),
        outbox.c.due_at <= tx.now,
        or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= tx.now),
    )


def _due(tx: Tx, kinds: list[str], limit: int) -> Sequence[int]:
    due = select(outbox.c.outbox_id).where(_is_due(tx), outbox.c.kind.in_(kinds))
    return tx.scalars(due.order_by(outbox.c.due_at, outbox.c.outbox_id).limit(limit))


def _claim(tx: Tx, outbox_id: int, lease: timedelta) -> _Claim | None:
    """Ours, or None if somebody else was faster.

    The attempt counts before it is made, and the next one has its time: a crash is an attempt too.
    """
    row = tx.first(select(outbox).where(outbox.c.outbox_id == outbox_id, _is_due(tx)))
    if row is None:
        return None
    attempts = row.attempts + 1
    values = {"attempts": attempts, "lease_until": tx.now + lease, "due_at": _next_try(tx, attempts)}
    unchanged = and_(outbox.c.outbox_id == outbox_id, outbox.c.attempts == row.attempts, _is_due(tx))
    if tx.execute(update(outbox).where(unchanged).values(values)).rowcount != 1:
        return None
    return _Claim(outbox_id, row.kind, row.dedupe, row.payload_sealed, attempts)


def _next_try(tx: Tx, attempts: int) -> datetime:
    return tx.now + timedelta(seconds=wait_s(attempts, random.random()))


def _ours(claim: _Claim) -> ColumnElement[bool]:
    """Whether nobody has begun anew: the number of the attempt tells one claim from the next."""
    return and_(
        outbox.c.outbox_id == claim.outbox_id,
        outbox.c.attempts == claim.attempts,
        outbox.c.lease_until.is_not(None),
        outbox.c.done_at.is_(None),
    )


@contextlib.contextmanager
def _kept(db: Database, claim: _Claim, lease: timedelta) -> Iterator[None]:
    """Renew the lease from a thread while the body runs, so that it tells whether this process lives and not how long work takes."""
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(db, claim, lease, over), name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _keep(db: Database, claim: _Claim, lease: timedelta, over: threading.Event) -> None:
    give_up = time.monotonic() + LONGEST_EFFECT_S
    while not over.wait(lease.total_seconds() / RENEWALS) and time.monotonic() < give_up:
        try:
            if not db.run(_renew, claim, lease):
                return
        except Unavailable as away:
            log.warning("lease_not_renewed", outbox_id=claim.outbox_id, what=away.what)


def _renew(tx: Tx, claim: _Claim, lease: timedelta) -> bool:
    """Whether it is ours still, for another `lease`."""
    longer = update(outbox).where(_ours(claim)).values(lease_until=tx.now + lease)
    return tx.execute(longer).rowcount == 1


def _attempt(vault: Vault, claim: _Claim, effect: Effect, attempts: int) -> EffectFailed | None:
    """Carry it out; None when that worked."""
    if claim.attempts > attempts:
        return EffectFailed("every attempt ended with its process", permanent=True)
    try:
        effect(msgspec.json.decode(vault.open(claim.sealed, _place(claim.dedupe)), type=dict[str, Any]))
    except EffectFailed as failed:
        log.warning("effect_failed", outbox_id=claim.outbox_id, kind=claim.kind, what=failed.what)
        return failed
    except Exception as error:  # noqa: BLE001 - one faulty effect must not hold up all others behind it
        # The message of a foreign error may quote an address, so only its name is written down.
        name = type(error).__name__
        log.error("effect_faulty", outbox_id=claim.outbox_id, kind=claim.kind, error=name)
        return EffectFailed(name)
    return None


def _finish(tx: Tx, claim: _Claim) -> None:
    """It happened, whoever holds the lease by now. What it said is no longer needed."""
    done = {"done_at": tx.now, "lease_until": None, "payload_sealed": b"", "last_error": None}
    tx.execute(update(outbox).where(outbox.c.outbox_id == claim.outbox_id).values(done))


def _postpone(tx: Tx, claim: _Claim, failed: EffectFailed, attempts: int) -> None:
    """Later again, or never; nothing if the lease ran out and another process has it now."""
    over = failed.permanent or claim.attempts >= attempts
    values = {
        "due_at": _next_try(tx, claim.attempts),
        "dead_at": tx.now if over else None,
        "lease_until": None,
        "last_error": failed.what[:200],
    }
    tx.execute(update(outbox).where(_ours(claim)).values(values))
    if over:
        log.error("effect_given_up", outbox_id=claim.outbox_id, kind=claim.kind, what=failed.what)
