"""One batch of decisions, from the head of a lane into one transaction whose caller holds the lane."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Row, case, delete, select, update

from shop.accounts.addresses import address_for_order
from shop.errors import ShopError
from shop.orders.entry import OrderEntry
from shop.orders.facts import Facts, read_facts
from shop.orders.judgement import Judgement, Line
from shop.orders.late import lock_late, still_late, write_late
from shop.orders.letters import put_decision_letters
from shop.orders.rules import OUTCOMES, Ended, OrderOutcome, OrderState, RejectReason, pass_claim
from shop.payments.apply import Case
from shop.stock.moves import Movement, move_stock
from shop.stock.rules import ReservationState
from shop.storage.columns import from_millis, is_among
from shop.storage.database import Contended, Tx
from shop.storage.tables import lane_attempts, lanes, order_lines, orders, reservations, sale_items
from shop.vault import Vault

ACTOR = "drain"
# Reads up to so many entries from the head of the lane, oldest first, leaving them there.
ReadHead: TypeAlias = Callable[[int], Sequence[OrderEntry]]


class UnknownLane(ShopError):
    """Orders were accepted for a sale that the database does not know."""


class Decision(msgspec.Struct, frozen=True):
    """What became of one order. `seq` is None for an order that was cancelled while it was queued; `late` is the payment that
    had it decided again. `again`: it was decided before with another pass, so that this one is not used up.
    """

    order_id: str
    account_id: str
    jti: str
    state: OrderState
    reason: RejectReason | None
    seq: int | None
    late: str | None = None
    again: bool = False

    @property
    def pass_is_free(self) -> bool:
        """Whether the pass may buy something else."""
        return self.again or self.state is OrderState.REJECTED

    def ended(self, sale_id: str) -> Ended | None:
        """What the waiting room is to be told, if the decision ends the order."""
        if self.again:
            return Ended(sale_id, self.order_id, self.jti, OrderOutcome.REJECTED)
        if self.reason is RejectReason.PASS_USED:
            return None  # the pass and its slot are another order's
        outcome = OUTCOMES.get(self.state)
        return None if outcome is None else Ended(sale_id, self.order_id, self.jti, outcome)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a drain has done. `passed_over` were decided before (or cancelled while queued) and still stood in the lane;
    both belong off the lane.
    """

    decisions: list[Decision] = field(default_factory=list)
    passed_over: list[Decision] = field(default_factory=list)

    def __add__(self, later: BatchResult) -> BatchResult:
        return BatchResult(self.decisions + later.decisions, self.passed_over + later.passed_over)

    @property
    def lane_ids(self) -> list[str]:
        """Every entry that belongs off the lane."""
        return [decision.late or decision.order_id for decision in (*self.passed_over, *self.decisions)]


def split_head(tx: Tx, entries: Sequence[OrderEntry]) -> tuple[list[OrderEntry], list[Decision]]:
    """The entries that nobody has decided yet, each once and at its first place, and the decisions that the database knows."""
    if not entries:
        return [], []
    columns = (orders.c.order_id, orders.c.state, orders.c.reason, orders.c.seq, orders.c.pass_jti)
    known = is_among(orders.c.order_id, {entry.order_id for entry in entries})
    rows = {row.order_id: row for row in tx.all(select(*columns).where(known))}
    late = still_late(tx, entries)
    fresh: dict[str, OrderEntry] = {}
    passed_over: dict[str, Decision] = {}
    for entry in entries:
        row = rows.get(entry.order_id)
        undecided = row is None if entry.late is None else entry.late in late
        if undecided:
            fresh.setdefault(entry.lane_id, entry)
        else:
            passed_over.setdefault(entry.lane_id, _known(entry, row))
    return list(fresh.values()), list(passed_over.values())


def _known(entry: OrderEntry, row: Row[Any] | None) -> Decision:
    """What the database knows of an entry; late money whose order it knows no more is nobody's.

    An order has the id of its Idempotency-Key. Who uses a key once more when its record is gone, in a sale that lasts for days,
    means the order that it stood for.
    """
    if row is None:
        return Decision(
            entry.order_id, entry.account_id, entry.pass_jti, OrderState.EXPIRED, None, None, entry.late
        )
    reason = RejectReason(row.reason) if row.reason else None
    state = OrderState(row.state)
    again = row.pass_jti != entry.pass_jti
    return Decision(
        entry.order_id, entry.account_id, entry.pass_jti, state, reason, row.seq, entry.late, again
    )


def decide_batch(
    tx: Tx, sale_id: str, seq: int, entries: Sequence[OrderEntry], batch_ms: float, vault: Vault | None
) -> BatchResult:
    """Decide the entries in their order, as many as fit in `batch_ms`, and write all of it. At least one is decided."""
    if not entries:
        return BatchResult()
    facts = read_facts(tx, sale_id, entries)
    until = time.monotonic() + batch_ms / 1000
    judged: list[tuple[OrderEntry, Judgement]] = []
    cases: dict[str, Case] = {}
    for entry in entries:
        if entry.late is not None:
            found = lock_late(tx, entry.late)
            if found is None:
                continue  # it was decided meanwhile: the next reading passes it over
            cases[entry.late] = found
        judgement = facts.books.judge(entry)
        facts.books.take(entry, judgement)
        judged.append((entry, judgement))
        if time.monotonic() >= until:
            break
    if not judged:
        return BatchResult()
    again = [(entry, judgement) for entry, judgement in judged if entry.late is not None]
    movements = _write_late(tx, again, cases, vault)
    return _write(tx, sale_id, seq, judged, facts, vault, movements)


def reject_failed(tx: Tx, sale_id: str, seq: int, entry: OrderEntry, vault: Vault | None) -> BatchResult:
    """Reject, in its turn, an entry that could not be decided; asks as little as it can of it. Late money goes back."""
    currency = tx.scalar(select(sale_items.c.currency).where(sale_items.c.sale_id == sale_id)) or "XXX"
    judgement = Judgement(OrderState.REJECTED, RejectReason.FAILED, ())
    if entry.late is not None:
        found = lock_late(tx, entry.late)
        if found is not None:
            _write_late(tx, [(entry, judgement)], {entry.late: found}, vault)
        _advance(tx, sale_id, seq, [entry])
        return BatchResult([_decision(entry, judgement, None)])
    tx.insert(orders, [_order_row(tx, entry, judgement, seq + 1, currency)])
    _advance(tx, sale_id, seq, [entry])
    return BatchResult([_decision(entry, judgement, seq + 1)])


def _write(
    tx: Tx,
    sale_id: str,
    seq: int,
    judged: Sequence[tuple[OrderEntry, Judgement]],
    facts: Facts,
    vault: Vault | None,
    movements: Sequence[Movement],
) -> BatchResult:
    """The rows of all that was judged, and the stock of those that came late (`movements`) with theirs."""
    again = [_decision(entry, judgement, None) for entry, judgement in judged if entry.late is not None]
    everything = [entry for entry, _ in judged]
    judged = [(entry, judgement) for entry, judgement in judged if entry.late is None]
    numbered = [(seq + place, entry, judgement) for place, (entry, judgement) in enumerate(judged, 1)]
    hold_until = tx.now + facts.hold
    rows = [
        _order_row(tx, entry, judgement, number, facts.currency, hold_until)
        for number, entry, judgement in numbered
    ]
    for row, (entry, judgement) in zip(rows, judged, strict=True):
        row["address_sealed"] = None if judgement.rejected else _address_copy(vault, facts, entry)
    taken = [
        (entry, line) for entry, judgement in judged if not judgement.rejected for line in judgement.lines
    ]
    paid = {entry.order_id for entry, judgement in judged if judgement.state is OrderState.PAID}
    decisions = [_decision(entry, judgement, number) for number, entry, judgement in numbered]
    tx.insert(orders, rows)
    tx.insert(
        order_lines, [_line_row(entry, line) for entry, judgement in judged for line in judgement.lines]
    )
    tx.insert(
        reservations, [_reservation_row(tx, entry, line, entry.order_id in paid) for entry, line in taken]
    )
    if vault is not None:
        put_decision_letters(
            tx, vault, facts.sale_title, list(zip(rows, (j for _, j in judged), strict=True))
        )
    _advance(tx, sale_id, seq, everything)
    moved = [_movement(entry, line, entry.order_id in paid) for entry, line in taken]
    move_stock(tx, [*moved, *movements], actor=ACTOR)
    return BatchResult(decisions + again)


def _write_late(
    tx: Tx, judged: Sequence[tuple[OrderEntry, Judgement]], cases: dict[str, Case], vault: Vault | None
) -> list[Movement]:
    """Decide orders again whose money came late; the stock that they take."""
    if judged and vault is None:
        raise ValueError("late money cannot be given back without a vault")
    taken = []
    for entry, judgement in judged:
        if vault is not None and entry.late is not None:
            write_late(tx, vault, cases[entry.late], judgement, actor=ACTOR)
        if not judgement.rejected:
            taken += [(entry, line) for line in judgement.lines]
    tx.insert(reservations, [_reservation_row(tx, entry, line, True) for entry, line in taken])
    return [_movement(entry, line, True) for entry, line in taken]


def _advance(tx: Tx, sale_id: str, seq: int, decided: Sequence[OrderEntry]) -> None:
    cursor = update(lanes).where(lanes.c.sale_id == sale_id, lanes.c.seq == seq)
    last = max(entry.accepted_no for entry in decided)
    further = case((lanes.c.accepted_no < last, last), else_=lanes.c.accepted_no)
    numbers = sum(entry.late is None for entry in decided)
    if tx.execute(cursor.values(seq=seq + numbers, accepted_no=further)).rowcount != 1:
        raise Contended(f"the lane of {sale_id} was moved by somebody else", retry_after_s=1)
    tx.execute(
        delete(lane_attempts).where(is_among(lane_attempts.c.order_id, [entry.lane_id for entry in decided]))
    )


def _decision(entry: OrderEntry, judgement: Judgement, seq: int | None) -> Decision:
    if entry.late is not None and judgement.rejected:  # it stays what it was, and its pass used up
        return Decision(
            entry.order_id, entry.account_id, entry.pass_jti, OrderState.EXPIRED, None, None, entry.late
        )
    state, reason = judgement.state, judgement.reason
    return Decision(entry.order_id, entry.account_id, entry.pass_jti, state, reason, seq, entry.late)


def _order_row(
    tx: Tx,
    entry: OrderEntry,
    judgement: Judgement,
    seq: int,
    currency: str,
    hold_until: datetime | None = None,
) -> dict[str, Any]:
    return {
        "order_id": entry.order_id,
        "sale_id": entry.sale_id,
        "account_id": entry.account_id,
        "seq": seq,
        "state": judgement.state,
        "reason": judgement.reason,
        "pass_jti": entry.pass_jti,
        "pass_claim": None if judgement.rejected else pass_claim(entry.sale_id, entry.pass_jti),
        "total": judgement.total,
        "currency": currency,
        "address_sealed": None,
        "accepted_no": entry.accepted_no,
        "accepted_at": from_millis(entry.accepted_at_ms),
        "decided_at": tx.now,
        "hold_expires_at": hold_until if judgement.state is OrderState.RESERVED else None,
        "updated_at": tx.now,
    }


def _address_copy(vault: Vault | None, facts: Facts, entry: OrderEntry) -> bytes | None:
    """The buyer may change the address book afterwards, and a sealed field opens in its own place only."""
    sealed = facts.sealed.get(entry.address_id) if entry.address_id else None
    if vault is None or sealed is None or entry.address_id is None:
        return None
    return address_for_order(vault, sealed, entry.address_id, entry.order_id)


def _line_row(entry: OrderEntry, line: Line) -> dict[str, Any]:
    return {
        "order_id": entry.order_id,
        "sale_item_id": line.item.sale_item_id,
        "product_id": line.item.product_id,
        "title": line.item.title,
        "quantity": line.quantity,
        "unit_price": line.item.price,
    }


def _reservation_row(tx: Tx, entry: OrderEntry, line: Line, paid: bool) -> dict[str, Any]:
    return {
        "order_id": entry.order_id,
        "sale_item_id": line.item.sale_item_id,
        "quantity": line.quantity,
        "state": ReservationState.COMMITTED if paid else ReservationState.HELD,
        "created_at": tx.now,
        "updated_at": tx.now,
    }


def _movement(entry: OrderEntry, line: Line, paid: bool) -> Movement:
    units = {"sold": line.quantity} if paid else {"held": line.quantity}
    return Movement(line.item.sale_item_id, "paid" if paid else "hold", entry.order_id, **units)
