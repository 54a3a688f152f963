"""Units go from a product's shelf into a sale, and what is left over comes back. Shelf, counters and ledger change together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, select, update

from shop.stock.moves import Movement, StockMoved, move_stock, take_from_hand
from shop.storage.database import Tx
from shop.storage.tables import products, sale_items


@dataclass(frozen=True, slots=True)
class Offer:
    """A product in a sale as it shall be; `price` in minor units of the product's currency."""

    product_id: str
    price: int
    currency: str
    limit_per_buyer: int
    allotted: int


def lay_items(tx: Tx, sale_id: str, offers: Sequence[Offer], *, actor: str) -> list[str]:
    """Make these offers the sale's only ones, moving units from and to the shelf.

    Only for a sale of which nothing was sold or held yet. Returns the ids of products with too few units on the shelf; then the
    caller must roll back. Comes last in its transaction.
    """
    before = {row.product_id: row for row in _rows(tx, sale_id)}
    _write_terms(tx, sale_id, offers, before)
    rows = {row.product_id: row for row in _rows(tx, sale_id)}
    wanted = {offer.product_id: offer.allotted for offer in offers}
    moves = {product_id: wanted.get(product_id, 0) - row.allotted for product_id, row in rows.items()}
    short = [
        product_id for product_id in sorted(moves) if not take_from_hand(tx, product_id, moves[product_id])
    ]
    if short:
        return short
    changed = [
        Movement(row.sale_item_id, "allot", allotted=moves[product_id])
        for product_id, row in rows.items()
        if moves[product_id]
    ]
    move_stock(tx, changed, actor=actor)
    _drop(tx, [row for product_id, row in rows.items() if product_id not in wanted], sale_id)
    return []


def return_free(tx: Tx, sale_id: str, *, actor: str) -> int:
    """Put every unit of a sale that is neither held nor sold back on the shelf; the number of units.

    Comes last in its transaction. Raises `StockMoved` if an order took one meanwhile.
    """
    free = [(row, row.allotted - row.held - row.sold) for row in _rows(tx, sale_id)]
    free = [(row, units) for row, units in free if units]
    for row, units in sorted(free, key=lambda pair: str(pair[0].product_id)):
        if not take_from_hand(tx, row.product_id, -units):
            raise StockMoved(f"there is no product {row.product_id}")
    move_stock(
        tx, [Movement(row.sale_item_id, "return", allotted=-units) for row, units in free], actor=actor
    )
    return sum(units for _, units in free)


def product_terms(tx: Tx, product_ids: Sequence[str]) -> Mapping[str, Row[Any]]:
    """`price` and `currency` of the products that exist, by id."""
    columns = (products.c.product_id, products.c.price, products.c.currency)
    rows = tx.all(select(*columns).where(products.c.product_id.in_(set(product_ids))))
    return {row.product_id: row for row in rows}


def _rows(tx: Tx, sale_id: str) -> Sequence[Row[Any]]:
    return tx.all(
        select(sale_items).where(sale_items.c.sale_id == sale_id).order_by(sale_items.c.sale_item_id)
    )


def _write_terms(tx: Tx, sale_id: str, offers: Sequence[Offer], before: Mapping[str, Row[Any]]) -> None:
    terms = [{"price": o.price, "currency": o.currency, "limit_per_buyer": o.limit_per_buyer} for o in offers]
    for offer, changed in zip(offers, terms, strict=True):
        if offer.product_id in before:
            mine = sale_items.c.sale_item_id == before[offer.product_id].sale_item_id
            tx.execute(update(sale_items).where(mine).values(**changed, version=sale_items.c.version + 1))
    new = [
        {"sale_id": sale_id, "product_id": offer.product_id, "allotted": 0, **changed}
        for offer, changed in zip(offers, terms, strict=True)
        if offer.product_id not in before
    ]
    tx.insert(sale_items, new)


def _drop(tx: Tx, gone: Sequence[Row[Any]], sale_id: str) -> None:
    if not gone:
        return
    tx.execute(delete(sale_items).where(sale_items.c.sale_item_id.in_([row.sale_item_id for row in gone])))
    # The copies of a sale's stock are ordered by the sum of these versions, which must not fall.
    heir = _rows(tx, sale_id)[0]
    gain = sum(row.version for row in gone) + 2
    mine = sale_items.c.sale_item_id == heir.sale_item_id
    tx.execute(update(sale_items).where(mine).values(version=sale_items.c.version + gain))
