"""The lock of a lane, in the three bodies that the three servers need.

Who holds it decides the orders of one sale alone, until the transaction ends; who finds it held goes away at once. The
server frees it when the holder's connection dies, however the holder died.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from shop.errors import LaneTaken
from shop.storage.database import Contended, Database, Tx
from shop.storage.faults import Fault, fault_of
from shop.storage.tables import lanes

P = ParamSpec("P")
T = TypeVar("T")


def take_lane(tx: Tx, sale_id: str) -> int | None:
    """Lock the lane and return the last `seq` it gave; None if there is no such lane. Raises `LaneTaken`.

    MySQL answers NOWAIT with 3572 and MariaDB with 1205; from this statement both say "taken". On SQLite the transaction holds
    the only write lock there is already.
    """
    statement = select(lanes.c.seq).where(lanes.c.sale_id == sale_id).with_for_update(nowait=True)
    try:
        seq: int | None = tx.scalar(statement)
    except DBAPIError as error:
        if fault_of(error) is Fault.CONTENDED:
            raise LaneTaken(sale_id) from error
        raise
    return seq


def run_in_lane(
    db: Database,
    sale_id: str,
    work: Callable[Concatenate[Tx, int | None, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """`work(tx, seq, …)` in one transaction that holds the lane. Raises `LaneTaken`, `Contended`, `Unavailable`."""
    entered = False

    def locked(tx: Tx) -> T:
        nonlocal entered
        entered = True
        return work(tx, take_lane(tx, sale_id), *args, **kwargs)

    try:
        return db.run_once(locked)
    except Contended as error:
        if entered:
            raise
        raise LaneTaken(sale_id) from error  # SQLite: BEGIN IMMEDIATE waited busy_timeout for another writer
