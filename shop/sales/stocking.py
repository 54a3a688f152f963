"""What an operator does to stock: units into a running sale or out of it, and a count of the shelf put right.

One change, one transaction, one audit row that says why. Units move through `shop.stock`, so that ledger, counters and shelf
agree, and nothing that is held or sold can be taken away.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update

from shop.catalogue.rules import UnknownProduct
from shop.errors import FieldFault, IllegalMove, InvalidFields
from shop.sales.audit import note
from shop.sales.reading import Sale, lock_sale, sale_by_id
from shop.sales.rules import ALLOTTABLE, MOST_UNITS, NotInSale, StaleCount, reason_faults
from shop.stock.moves import Movement, move_stock, take_from_hand
from shop.storage.database import Database, Tx
from shop.storage.tables import products, sales


@dataclass(frozen=True, slots=True)
class Shelf:
    """Units of a product that no sale has been allotted."""

    product_id: str
    title: str
    on_hand: int


def set_allotment(
    db: Database, operator_id: str, sale_id: str, product_id: str, allotted: int, reason: str
) -> Sale:
    """Give a sale so many units of one of its products in all, from the shelf or back to it.

    Raises `UnknownSale`, `NotInSale`, `IllegalMove` for a sale that has ended, or `InvalidFields`: never fewer than are held and
    sold, never more than the shelf has.
    """
    return db.run(_set_allotment, operator_id, sale_id, product_id, allotted, reason)


def adjust_on_hand(
    db: Database, operator_id: str, product_id: str, change: int, reason: str, *, was: int | None = None
) -> Shelf:
    """Add units to a product's shelf, or take some off (`change` below 0). `was` guards against doing it twice.

    Raises `UnknownProduct`, `StaleCount` if the shelf does not hold `was` units, or `InvalidFields`.
    """
    return db.run(_adjust, operator_id, product_id, change, reason, was)


def list_shelves(db: Database) -> list[Shelf]:
    """What every product has on hand, by title."""
    columns = (products.c.product_id, products.c.title, products.c.on_hand)
    rows = db.read(lambda tx: tx.all(select(*columns).order_by(products.c.title, products.c.product_id)))
    return [Shelf(**row._mapping) for row in rows]


def _set_allotment(
    tx: Tx, operator_id: str, sale_id: str, product_id: str, allotted: int, reason: str
) -> Sale:
    sale = lock_sale(tx, sale_id)
    item = next((item for item in sale.items if item.product_id == product_id), None)
    if item is None:
        raise NotInSale("the sale does not offer this product")
    if sale.control not in ALLOTTABLE or tx.now >= sale.closes_at:
        raise IllegalMove("sale", sale.control, "set-allotment")
    taken = item.held + item.sold
    faults = reason_faults(reason)
    if not taken <= allotted <= MOST_UNITS:
        faults.append(
            FieldFault("allotted", f"must be from {taken}, which are held or sold, to {MOST_UNITS}")
        )
    if faults:
        raise InvalidFields(faults)
    more = allotted - item.allotted
    if not more:
        return sale
    tx.execute(update(sales).where(sales.c.sale_id == sale_id).values(version=sales.c.version + 1))
    detail = {"product_id": product_id, "from": item.allotted, "to": allotted, "reason": reason.strip()}
    note(tx, operator_id, "set-allotment", sale_id, detail)
    if not take_from_hand(tx, product_id, more):
        raise InvalidFields([FieldFault("allotted", "is more than the shop has on hand")])
    move_stock(tx, [Movement(item.sale_item_id, "allot", allotted=more)], actor=f"operator:{operator_id}")
    return sale_by_id(tx, sale_id)


def _adjust(tx: Tx, operator_id: str, product_id: str, change: int, reason: str, was: int | None) -> Shelf:
    mine = products.c.product_id == product_id
    row = tx.first(select(products.c.title, products.c.on_hand).where(mine).with_for_update())
    if row is None:
        raise UnknownProduct("there is no such product")
    if was is not None and was != row.on_hand:
        raise StaleCount(row.on_hand)
    faults = reason_faults(reason)
    if change == 0 or not 0 <= row.on_hand + change <= MOST_UNITS:
        faults.append(
            FieldFault(
                "change", f"must not be 0, and must leave from 0 to {MOST_UNITS} of {row.on_hand} units"
            )
        )
    if faults:
        raise InvalidFields(faults)
    detail = {"from": row.on_hand, "to": row.on_hand + change, "reason": reason.strip()}
    note(tx, operator_id, "adjust-on-hand", product_id, detail)
    take_from_hand(tx, product_id, -change)
    return Shelf(product_id, row.title, row.on_hand + change)
