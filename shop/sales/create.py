"""A new sale, and changes to one before and while it runs."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from shop.errors import FieldFault, InvalidFields
from shop.sales.audit import note
from shop.sales.draws import MakeDraw, lay_draw
from shop.sales.reading import Sale, lock_sale, sale_by_id
from shop.sales.rules import (
    DRAW,
    Control,
    ItemDraft,
    SaleDraft,
    SaleFrozen,
    StaleVersion,
    frozen_fields,
    sale_faults,
)
from shop.stock.allotment import Offer, lay_items, product_terms
from shop.storage.database import Database, Tx
from shop.storage.tables import lanes, sales

_COLUMNS = (
    *("slug", "title", "mode", "lobby_opens_at", "opens_at", "closes_at", "calls_per_minute", "capacity"),
    *("turn_window_s", "comeback_s", "hold_s", "pass_s", "message_ko", "message_en"),
    *("guests", "challenge"),
)


def create_sale(
    db: Database,
    operator_id: str,
    draft: SaleDraft,
    *,
    ticket_key_id: str,
    min_turn_window_s: float,
    make_draw: MakeDraw | None = None,
) -> Sale:
    """Create a sale, its lane and its stock, taken off the shelf in the same transaction. Live at once unless it is a draft.

    `ticket_key_id` names the key that signs its tickets for life; `min_turn_window_s` is the shortest turn window in seconds.
    `make_draw` makes the draw of a sale that is drawn. Raises `InvalidFields` naming every bad field.
    """
    return db.run(_create, operator_id, draft, ticket_key_id, min_turn_window_s, make_draw)


def change_sale(
    db: Database,
    operator_id: str,
    sale_id: str,
    version: int,
    changes: Mapping[str, Any],
    *,
    min_turn_window_s: float,
    make_draw: MakeDraw | None = None,
) -> Sale:
    """Change fields of the version that the operator has seen; `changes` holds `SaleDraft` fields, those left out stay.

    Raises `UnknownSale`, `StaleVersion`, `SaleFrozen` or `InvalidFields`.
    """
    return db.run(_change, operator_id, sale_id, version, changes, min_turn_window_s, make_draw)


def _create(
    tx: Tx,
    operator_id: str,
    draft: SaleDraft,
    ticket_key_id: str,
    min_turn_window_s: float,
    make_draw: MakeDraw | None,
) -> Sale:
    faults = sale_faults(draft, min_turn_window_s=min_turn_window_s)
    if draft.closes_at <= tx.now:
        faults.append(FieldFault("closes_at", "must be in the future"))
    offers = _offers(tx, draft.items, faults)
    faults += _slug_faults(tx, draft.slug)
    if faults:
        raise InvalidFields(faults)
    sale_id = secrets.token_hex(8)
    row = {
        **_row(draft),
        "sale_id": sale_id,
        "control": Control.DRAFT if draft.draft else Control.RUNNING,
        "ticket_key_id": ticket_key_id,
        "created_at": tx.now,
    }
    tx.insert(sales, [row])
    tx.insert(lanes, [{"sale_id": sale_id}])
    note(tx, operator_id, "create-sale", sale_id, {"slug": draft.slug, "title": draft.title})
    if draft.mode == DRAW:
        lay_draw(tx, sale_id, make_draw)
    _lay(tx, sale_id, draft.items, offers, operator_id)
    return sale_by_id(tx, sale_id)


def _change(
    tx: Tx,
    operator_id: str,
    sale_id: str,
    version: int,
    changes: Mapping[str, Any],
    min_turn_window_s: float,
    make_draw: MakeDraw | None,
) -> Sale:
    sale = lock_sale(tx, sale_id)
    if sale.version != version:
        raise StaleVersion(sale.version)
    before = _draft_of(sale)
    after = dataclasses.replace(before, **changes)
    changed = [field.name for field in dataclasses.fields(after) if _differ(before, after, field.name)]
    fixed = frozen_fields(sale.control, sale.lobby_opens_at, sale.opens_at, sale.closes_at, tx.now)
    if frozen := [field for field in changed if field in fixed]:
        raise SaleFrozen(frozen)
    faults = sale_faults(after, min_turn_window_s=min_turn_window_s if "turn_window_s" in changed else 0)
    if "closes_at" in changed and after.closes_at <= tx.now:
        faults.append(FieldFault("closes_at", "must be in the future"))
    if "opens_at" in changed and after.opens_at < tx.now:
        faults.append(FieldFault("opens_at", "must not be in the past"))
    offers = _offers(tx, after.items, faults) if "items" in changed else []
    faults += _slug_faults(tx, after.slug) if "slug" in changed else []
    if faults:
        raise InvalidFields(faults)
    if not changed:
        return sale
    tx.execute(
        update(sales).where(sales.c.sale_id == sale_id).values(**_row(after), version=sales.c.version + 1)
    )
    note(tx, operator_id, "change-sale", sale_id, {field: _shown(getattr(after, field)) for field in changed})
    if after.mode == DRAW:
        lay_draw(tx, sale_id, make_draw)
    if "items" in changed:
        _lay(tx, sale_id, after.items, offers, operator_id)
    return sale_by_id(tx, sale_id)


def _differ(before: SaleDraft, after: SaleDraft, field: str) -> bool:
    return bool(getattr(before, field) != getattr(after, field))


def _draft_of(sale: Sale) -> SaleDraft:
    items = tuple(
        ItemDraft(
            product_id=item.product_id,
            allotted=item.allotted,
            limit_per_buyer=item.limit_per_buyer,
            price=item.price,
        )
        for item in sale.items
    )
    fields = {name: getattr(sale, name) for name in _COLUMNS}
    return SaleDraft(**fields, over_call_limit=sale.over_call_limit, items=items)


def _row(draft: SaleDraft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in _COLUMNS} | {
        "over_call_limit": round(draft.over_call_limit * 100)
    }


def _slug_faults(tx: Tx, slug: str) -> list[FieldFault]:
    taken = tx.scalar(select(sales.c.sale_id).where(sales.c.slug == slug))
    return [FieldFault("slug", "is taken by another sale")] if taken else []


def _offers(tx: Tx, items: Sequence[ItemDraft], faults: list[FieldFault]) -> list[Offer]:
    """The items with their products' price and currency; what is wrong with them is added to `faults`."""
    terms = product_terms(tx, [item.product_id for item in items])
    offers: list[Offer] = []
    for place, item in enumerate(items):
        known = terms.get(item.product_id)
        if known is None:
            faults.append(FieldFault(f"items.{place}.product_id", "is not a product of this shop"))
            continue
        if offers and known.currency != offers[0].currency:
            faults.append(
                FieldFault(f"items.{place}.product_id", "must have the currency of the other products")
            )
        price = known.price if item.price is None else item.price
        offers.append(Offer(item.product_id, price, known.currency, item.limit_per_buyer, item.allotted))
    return offers


def _lay(tx: Tx, sale_id: str, items: Sequence[ItemDraft], offers: Sequence[Offer], operator_id: str) -> None:
    short = lay_items(tx, sale_id, offers, actor=f"operator:{operator_id}")
    if short:
        places = [place for place, item in enumerate(items) if item.product_id in short]
        raise InvalidFields(
            [FieldFault(f"items.{place}.allotted", "is more than the shop has on hand") for place in places]
        )


def _shown(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case tuple():
            return [dataclasses.asdict(item) for item in value]
        case _:
            return value
