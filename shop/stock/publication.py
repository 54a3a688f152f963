"""The stock of a sale as others get to see it: a copy, numbered so that an older one never replaces a newer one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from shop.storage.database import Tx
from shop.storage.tables import sale_items


@dataclass(frozen=True, slots=True)
class ItemStock:
    """Units of one product in one sale; free are `allotted - held - sold`."""

    product_id: str
    allotted: int
    held: int
    sold: int
    limit_per_buyer: int


@dataclass(frozen=True, slots=True)
class StockPublication:
    """All items of a sale at one moment. `version` grows with every change of any counter."""

    sale_id: str
    version: int
    items: tuple[ItemStock, ...]

    @property
    def allotted(self) -> int:
        return sum(item.allotted for item in self.items)

    @property
    def held(self) -> int:
        return sum(item.held for item in self.items)

    @property
    def sold(self) -> int:
        return sum(item.sold for item in self.items)

    def fields(self) -> dict[str, str | int]:
        """The fields of the Redis hash `stock`."""
        sums: dict[str, str | int] = {
            "version": self.version,
            "allotted": self.allotted,
            "held": self.held,
            "sold": self.sold,
        }
        return sums | {
            f"item:{item.product_id}": f"{item.allotted}:{item.held}:{item.sold}:{item.limit_per_buyer}"
            for item in self.items
        }


def read_stock(tx: Tx, sale_id: str) -> StockPublication:
    """The stock of a sale as this transaction sees it."""
    row = sale_items.c
    columns = (row.product_id, row.allotted, row.held, row.sold, row.limit_per_buyer, row.version)
    rows = tx.all(select(*columns).where(row.sale_id == sale_id).order_by(row.sale_item_id))
    items = tuple(
        ItemStock(found.product_id, found.allotted, found.held, found.sold, found.limit_per_buyer)
        for found in rows
    )
    return StockPublication(sale_id, version=sum(found.version for found in rows), items=items)
