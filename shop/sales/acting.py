"""What an operator does to a running sale: one action, one transaction, one audit row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update

from shop.errors import FieldFault, IllegalMove, InvalidFields
from shop.orders.holds import lengthen_holds
from shop.sales.audit import note
from shop.sales.reading import Sale, lock_sale, sale_by_id
from shop.sales.rules import (
    ENDED,
    LONGEST_MESSAGE,
    MOST_MINUTES,
    MOST_PER_MINUTE,
    TURNS_AFTER_END,
    Action,
    Control,
    next_control,
    reason_faults,
)
from shop.stock.allotment import return_free
from shop.storage.database import Database, Tx
from shop.storage.tables import sale_items, sales


def act(
    db: Database, operator_id: str, sale_id: str, action: Action, params: Mapping[str, Any] | None = None
) -> Sale:
    """Carry out an action. `params`: `calls_per_minute` for set-rate, `capacity` for set-capacity, `message_ko` and
    `message_en` (text or None) for announce, `minutes` and `reason` for extend-holds.

    Raises `UnknownSale`, `IllegalMove` naming the sale's control and the action, or `InvalidFields`.
    """
    return db.run(_act, operator_id, sale_id, Action(action), dict(params or {}))


def return_unsold(db: Database) -> list[str]:
    """Put what ended sales have not sold back on the shelf; the ids of the sales that gave something back.

    Who was called or admitted keeps turn and pass when a sale closes, so its stock stays until no pass can be good any more;
    units whose hold ends later follow. A cancelled sale keeps nothing.
    """
    return [sale_id for sale_id in db.read(_with_leftovers) if db.run(_return, sale_id)]


def _act(tx: Tx, operator_id: str, sale_id: str, action: Action, params: dict[str, Any]) -> Sale:
    sale = lock_sale(tx, sale_id)
    control = next_control(action, sale.control)
    changes: dict[str, Any] = {"control": control, **_changes(tx, sale, action, params)}
    if control in ENDED and sale.control not in ENDED:
        changes["closed_at"] = tx.now
    tx.execute(update(sales).where(sales.c.sale_id == sale_id).values(**changes, version=sales.c.version + 1))
    detail: dict[str, Any] = {"from": sale.control, "to": control, **params}
    if action is Action.EXTEND_HOLDS:
        detail["holds"] = lengthen_holds(tx, sale_id, timedelta(minutes=params["minutes"]))
    note(tx, operator_id, action, sale_id, detail)
    if control is Control.CANCELLED:
        return_free(tx, sale_id, actor=f"operator:{operator_id}")
    return sale_by_id(tx, sale_id)


def _changes(tx: Tx, sale: Sale, action: Action, params: dict[str, Any]) -> dict[str, Any]:
    match action:
        case Action.OPEN:
            if sale.opens_at <= tx.now:
                raise IllegalMove("sale", "open", action)
            return {"opens_at": tx.now, "lobby_opens_at": min(sale.lobby_opens_at, tx.now)}
        case Action.SET_RATE:
            return {"calls_per_minute": _number(params, "calls_per_minute")}
        case Action.SET_CAPACITY:
            return {"capacity": _number(params, "capacity")}
        case Action.ANNOUNCE:
            return {field: _message(params, field) for field in ("message_ko", "message_en")}
        case Action.EXTEND_HOLDS:
            _require_minutes_and_reason(params)
            return {}
        case _:
            return {}


def _number(params: Mapping[str, Any], field: str) -> int:
    value = params.get(field)
    if type(value) is not int or not 1 <= value <= MOST_PER_MINUTE:
        raise InvalidFields([FieldFault(field, f"must be a whole number from 1 to {MOST_PER_MINUTE}")])
    return value


def _require_minutes_and_reason(params: Mapping[str, Any]) -> None:
    minutes = params.get("minutes")
    faults = reason_faults(str(params.get("reason", "")))
    if type(minutes) is not int or not 1 <= minutes <= MOST_MINUTES:
        faults.append(FieldFault("minutes", f"must be a whole number from 1 to {MOST_MINUTES}"))
    if faults:
        raise InvalidFields(faults)


def _message(params: Mapping[str, Any], field: str) -> str | None:
    text = params.get(field)
    if text is not None and (not isinstance(text, str) or len(text) > LONGEST_MESSAGE):
        name = field.replace("_", ".")
        raise InvalidFields([FieldFault(name, f"must be text of at most {LONGEST_MESSAGE} characters")])
    return text or None


def _with_leftovers(tx: Tx) -> list[str]:
    free = sale_items.c.allotted > sale_items.c.held + sale_items.c.sold
    over = or_(sales.c.control.in_(ENDED), sales.c.closes_at <= tx.now)
    query = select(sales).where(sales.c.control != Control.DRAFT, over)
    query = query.where(sales.c.sale_id.in_(select(sale_items.c.sale_id).where(free)))
    return [row.sale_id for row in tx.all(query) if tx.now >= _last_pass_ends(row)]


def _last_pass_ends(row: Any) -> Any:
    if row.control == Control.CANCELLED:
        return row.closed_at
    ended = row.closes_at if row.closed_at is None else min(row.closes_at, row.closed_at)
    return ended + timedelta(seconds=TURNS_AFTER_END * row.turn_window_s + row.comeback_s + row.pass_s)


def _return(tx: Tx, sale_id: str) -> int:
    return return_free(tx, sale_id, actor="sweep")
