"""Deciding the orders of one sale, strictly in the order in which they were accepted, exactly once.

`drain_once` takes the lane, reads from its head, passes over what the database knows already, and commits the decisions, the
stock they take and the lane's cursor together. Whoever calls it then publishes the result and takes the entries off the lane;
if that is lost, the next drain finds them passed over. Knows neither Redis nor RQ: the head is read through a function.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shop.errors import LaneTaken, ShopError, Unavailable
from shop.orders.batch import (
    BatchResult,
    Decision,
    ReadHead,
    UnknownLane,
    decide_batch,
    reject_failed,
    split_head,
)
from shop.orders.entry import OrderEntry
from shop.storage.database import Contended, Database, Tx
from shop.storage.faults import Fault, fault_of
from shop.storage.locks import run_in_lane
from shop.storage.tables import lane_attempts
from shop.vault import Vault

__all__ = ["BatchResult", "Decision", "LaneTaken", "UnknownLane", "drain_once"]

log = structlog.get_logger(__name__)

RACES = 3  # lost races after which a batch is left for later
ATTEMPTS = 3  # failed attempts after which an order is rejected
# What an order that cannot be decided may raise. A lost server, a timeout of the job and the like are not among them.
_FAULTS = (
    SQLAlchemyError,
    ShopError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


class _HeadUnread(Exception):
    """Carries a failure of the caller's `read_head` past the handlers that blame an order."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def drain_once(
    db: Database,
    sale_id: str,
    read_head: ReadHead,
    *,
    batch_max: int = 500,
    batch_ms: float = 50,
    vault: Vault | None = None,
    careful: bool = False,
) -> BatchResult:
    """Decide one batch from the head of the lane.

    At most `batch_max` orders, as many as are judged within `batch_ms` milliseconds. If deciding them together fails while the
    database answers, they are decided carefully: one alone, then ever more at once, one alone again after a failure. An attempt at one
    alone is counted beforehand in a transaction of its own; after 3 the order is rejected `failed`, in its turn. With a `vault` each
    buyer gets a letter. `careful` begins carefully, for a caller whose last drain died.
    Raises `LaneTaken` when somebody else is draining, `Unavailable` when the database does not answer (nothing is counted),
    and whatever `read_head` raises.
    """
    lane = _Lane(db, sale_id, read_head, batch_max, batch_ms, vault)
    try:
        return lane.carefully() if careful else lane.together()
    except _HeadUnread as error:
        raise error.cause from None


class _Lane:
    def __init__(
        self,
        db: Database,
        sale_id: str,
        read_head: ReadHead,
        batch_max: int,
        batch_ms: float,
        vault: Vault | None,
    ) -> None:
        self._db = db
        self._sale_id = sale_id
        self._read_head = read_head
        self._batch_max = batch_max
        self._batch_ms = batch_ms
        self._vault = vault

    def together(self) -> BatchResult:
        """One batch in one transaction; carefully if that fails."""
        for _ in range(RACES):
            try:
                return run_in_lane(self._db, self._sale_id, self._batch)
            except Contended as error:
                log.info("batch_lost_a_race", sale_id=self._sale_id, why=str(error))
            except (LaneTaken, Unavailable, UnknownLane):
                raise
            except _FAULTS as error:
                # A duplicate key is a buyer who cancelled meanwhile: the next reading passes the order over.
                if isinstance(error, DBAPIError) and fault_of(error) is Fault.DUPLICATE:
                    continue
                log.exception("batch_failed", sale_id=self._sale_id)
                return self.carefully()
        return self.carefully()

    def carefully(self) -> BatchResult:
        """Decide the first order alone, then twice as many each time, alone again after a failure; until one has failed for good or
        a batch is through.

        A faulty order is alone in the end, and the sound ones before it are decided by then, however many they are. Only who is
        alone is blamed for a failure.
        """
        result, size = BatchResult(), 1
        while len(result.decisions) < self._batch_max:
            if size > 1:
                step = self._several(size)
                size = size * 2 if step.decisions else 1
                result += step
                continue
            counted = run_in_lane(self._db, self._sale_id, self._count_attempt)
            if counted is None:
                break
            order_id, attempts = counted
            try:
                step = run_in_lane(self._db, self._sale_id, self._single, order_id, attempts > ATTEMPTS)
            except (LaneTaken, Unavailable):
                self._uncount(order_id)
                raise
            except _FAULTS:
                if attempts > ATTEMPTS:
                    raise
                log.exception("order_failed", sale_id=self._sale_id, order_id=order_id, attempts=attempts)
                continue
            result += step
            if attempts > ATTEMPTS:
                break
            size = 2
        return run_in_lane(self._db, self._sale_id, self._known, result.lane_ids) + result

    def _several(self, size: int) -> BatchResult:
        """The next `size` orders in one transaction; nothing if one of them cannot be decided, or if there are none."""
        try:
            return run_in_lane(self._db, self._sale_id, self._first, size)
        except (LaneTaken, Unavailable):
            raise
        except _FAULTS:
            log.exception("batch_failed", sale_id=self._sale_id, size=size)
            return BatchResult()

    def _first(self, tx: Tx, seq: int | None, size: int) -> BatchResult:
        fresh = self._head(tx)[0][:size]
        return decide_batch(tx, self._sale_id, self._cursor(seq), fresh, self._batch_ms, self._vault)

    def _batch(self, tx: Tx, seq: int | None) -> BatchResult:
        fresh, passed_over = self._head(tx)
        decided = decide_batch(tx, self._sale_id, self._cursor(seq), fresh, self._batch_ms, self._vault)
        return BatchResult(passed_over=passed_over) + decided

    def _single(self, tx: Tx, seq: int | None, order_id: str, give_up: bool) -> BatchResult:
        fresh, _ = self._head(tx)
        if not fresh or fresh[0].lane_id != order_id:
            return BatchResult()  # somebody else has decided it meanwhile
        if give_up:
            return reject_failed(tx, self._sale_id, self._cursor(seq), fresh[0], self._vault)
        return decide_batch(tx, self._sale_id, self._cursor(seq), fresh[:1], self._batch_ms, self._vault)

    def _known(self, tx: Tx, _seq: int | None, just_decided: Sequence[str]) -> BatchResult:
        """The entries in the lane that were decided before."""
        known = self._head(tx)[1]
        return BatchResult(
            passed_over=[one for one in known if (one.late or one.order_id) not in just_decided]
        )

    def _head(self, tx: Tx) -> tuple[list[OrderEntry], list[Decision]]:
        try:
            entries: Sequence[OrderEntry] = self._read_head(self._batch_max)
        except Exception as error:
            raise _HeadUnread(error) from error
        return split_head(tx, entries)

    def _cursor(self, seq: int | None) -> int:
        if seq is None:
            raise UnknownLane(f"no lane for sale {self._sale_id}")
        return seq

    def _count_attempt(self, tx: Tx, _seq: int | None) -> tuple[str, int] | None:
        """Count an attempt at the first undecided order before it is made, so that a crash counts as well."""
        fresh, _ = self._head(tx)
        if not fresh:
            return None
        order_id = fresh[0].lane_id
        mine = lane_attempts.c.order_id == order_id
        counted: int | None = tx.scalar(select(lane_attempts.c.attempts).where(mine))
        if counted is None:
            tx.insert(lane_attempts, [{"order_id": order_id, "attempts": 1, "at": tx.now}])
            return order_id, 1
        tx.execute(update(lane_attempts).where(mine).values(attempts=counted + 1, at=tx.now))
        return order_id, counted + 1

    def _uncount(self, order_id: str) -> None:
        """Take back an attempt that never reached the database, as far as the database lets us."""
        mine = lane_attempts.c.order_id == order_id

        def work(tx: Tx) -> None:
            tx.execute(update(lane_attempts).where(mine).values(attempts=lane_attempts.c.attempts - 1))
            tx.execute(delete(lane_attempts).where(mine, lane_attempts.c.attempts <= 0))

        try:
            self._db.run(work)
        except Unavailable:
            log.warning("attempt_stays_counted", sale_id=self._sale_id, order_id=order_id)
