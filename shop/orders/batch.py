"""One batch of decisions, from the head of a lane into one transaction whose caller holds the lane."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import case, delete, select, update

from shop.accounts.addresses import address_for_order
from shop.errors import ShopError
from shop.orders.entry import OrderEntry
from shop.orders.facts import Facts, read_facts
from shop.orders.judgement import Judgement, Line
from shop.orders.letters import put_decision_letters
from shop.orders.rules import OUTCOMES, Ended, OrderState, RejectReason, pass_claim
from shop.stock.moves import Movement, move_stock
from shop.stock.rules import ReservationState
from shop.storage.columns import from_millis
from shop.storage.database import Contended, Tx
from shop.storage.tables import lane_attempts, lanes, order_lines, orders, reservations, sale_items
from shop.vault import Vault

ACTOR = "drain"
# Reads up to so many entries from the head of the lane, oldest first, leaving them there.
ReadHead: TypeAlias = Callable[[int], Sequence[OrderEntry]]


class UnknownLane(ShopError):
    """Orders were accepted for a sale that the database does not know."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one order. `seq` is None for an order that was cancelled while it was queued."""

    order_id: str
    account_id: str
    jti: str
    state: OrderState
    reason: RejectReason | None
    seq: int | None

    def ended(self, sale_id: str) -> Ended | None:
        """What the waiting room is to be told, if the decision ends the order."""
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
    def order_ids(self) -> list[str]:
        """Every order that belongs off the lane."""
        return [decision.order_id for decision in (*self.passed_over, *self.decisions)]


def split_head(tx: Tx, entries: Sequence[OrderEntry]) -> tuple[list[OrderEntry], list[Decision]]:
    """The entries that nobody has decided yet, each once and at its first place, and the decisions that the database knows."""
    if not entries:
        return [], []
    known = {entry.order_id for entry in entries}
    columns = (
        orders.c.order_id,
        orders.c.account_id,
        orders.c.pass_jti,
        orders.c.state,
        orders.c.reason,
        orders.c.seq,
    )
    rows = {row.order_id: row for row in tx.all(select(*columns).where(orders.c.order_id.in_(known)))}
    passed_over = [
        Decision(
            row.order_id,
            row.account_id,
            row.pass_jti,
            OrderState(row.state),
            RejectReason(row.reason) if row.reason else None,
            row.seq,
        )
        for row in rows.values()
    ]
    fresh: dict[str, OrderEntry] = {}
    for entry in entries:
        if entry.order_id not in rows:
            fresh.setdefault(entry.order_id, entry)
    return list(fresh.values()), passed_over


def decide_batch(
    tx: Tx, sale_id: str, seq: int, entries: Sequence[OrderEntry], batch_ms: float, vault: Vault | None
) -> BatchResult:
    """Decide the entries in their order, as many as fit in `batch_ms`, and write all of it. At least one is decided."""
    if not entries:
        return BatchResult()
    facts = read_facts(tx, sale_id, entries)
    until = time.monotonic() + batch_ms / 1000
    judged: list[tuple[OrderEntry, Judgement]] = []
    for entry in entries:
        judgement = facts.books.judge(entry)
        facts.books.take(entry, judgement)
        judged.append((entry, judgement))
        if time.monotonic() >= until:
            break
    return _write(tx, sale_id, seq, judged, facts, vault)


def reject_failed(tx: Tx, sale_id: str, seq: int, entry: OrderEntry) -> BatchResult:
    """Reject, in its turn, an entry that could not be decided; asks as little as it can of it."""
    currency = tx.scalar(select(sale_items.c.currency).where(sale_items.c.sale_id == sale_id)) or "XXX"
    judgement = Judgement(OrderState.REJECTED, RejectReason.FAILED, ())
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
) -> BatchResult:
    numbered = [(seq + place, entry, judgement) for place, (entry, judgement) in enumerate(judged, 1)]
    rows = [
        _order_row(tx, entry, judgement, number, facts.currency, facts)
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
    _advance(tx, sale_id, seq, [entry for entry, _ in judged])
    move_stock(tx, [_movement(entry, line, entry.order_id in paid) for entry, line in taken], actor=ACTOR)
    return BatchResult(decisions)


def _advance(tx: Tx, sale_id: str, seq: int, decided: Sequence[OrderEntry]) -> None:
    cursor = update(lanes).where(lanes.c.sale_id == sale_id, lanes.c.seq == seq)
    last = max(entry.accepted_no for entry in decided)
    further = case((lanes.c.accepted_no < last, last), else_=lanes.c.accepted_no)
    if tx.execute(cursor.values(seq=seq + len(decided), accepted_no=further)).rowcount != 1:
        raise Contended(f"the lane of {sale_id} was moved by somebody else", retry_after_s=1)
    tx.execute(
        delete(lane_attempts).where(lane_attempts.c.order_id.in_([entry.order_id for entry in decided]))
    )


def _decision(entry: OrderEntry, judgement: Judgement, seq: int) -> Decision:
    return Decision(entry.order_id, entry.account_id, entry.pass_jti, judgement.state, judgement.reason, seq)


def _order_row(
    tx: Tx, entry: OrderEntry, judgement: Judgement, seq: int, currency: str, facts: Facts | None = None
) -> dict[str, Any]:
    held = judgement.state is OrderState.RESERVED and facts is not None
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
        "hold_expires_at": tx.now + facts.hold if held and facts else None,
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
