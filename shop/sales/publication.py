"""What the rest of the product gets to see of a sale: a copy of its settings and its stock, each numbered.

The version of the settings is the sale's own, the version of the stock grows with every movement; a copy with a lower version
never replaces one with a higher. Field names are those of the Redis hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import select, update

from shop.sales.reading import Sale, sale_by_id
from shop.stock.publication import StockPublication, read_stock
from shop.storage.columns import to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import lanes


@dataclass(frozen=True, slots=True)
class SalePublication:
    """A sale and its stock at one moment, and the highest `accepted_no` of a decided order.

    `first`: nobody has published the sale before, so that no order of it can have been accepted and lost.
    """

    sale: Sale
    stock: StockPublication
    accepted_no: int = 0
    first: bool = False

    @property
    def sale_id(self) -> str:
        return self.sale.sale_id

    @property
    def version(self) -> int:
        """Version of the settings."""
        return self.sale.version

    def settings(self) -> dict[str, str | int]:
        """The fields of the Redis hash `settings`; a missing message is empty text."""
        sale = self.sale
        return {
            "version": sale.version,
            "slug": sale.slug,
            "title": sale.title,
            "mode": sale.mode,
            "control": str(sale.control),
            "lobby_opens_at_ms": to_millis(sale.lobby_opens_at),
            "opens_at_ms": to_millis(sale.opens_at),
            "closes_at_ms": to_millis(sale.closes_at),
            "calls_per_minute": sale.calls_per_minute,
            "capacity": sale.capacity,
            "turn_window_ms": sale.turn_window_s * 1000,
            "comeback_ms": sale.comeback_s * 1000,
            "hold_ms": sale.hold_s * 1000,
            "pass_ms": sale.pass_s * 1000,
            "over_call_limit": round(sale.over_call_limit * 100),
            "message_ko": sale.message_ko or "",
            "message_en": sale.message_en or "",
            "challenge": int(sale.challenge),
        }


def read_publication(db: Database, sale_id: str) -> SalePublication:
    """The present copy of a sale; the first one ever is noted before it is given out. Raises `UnknownSale`, `Unavailable`."""
    copy = db.read(publication, sale_id)
    return replace(copy, first=db.run(_note_first, sale_id)) if copy.first else copy


def publication(tx: Tx, sale_id: str) -> SalePublication:
    """As `read_publication`, inside a transaction; notes nothing."""
    sale, stock = sale_by_id(tx, sale_id), read_stock(tx, sale_id)
    lane = tx.first(select(lanes).where(lanes.c.sale_id == sale_id))
    return SalePublication(
        sale,
        stock,
        accepted_no=lane.accepted_no if lane else 0,
        first=lane is not None and lane.opened_at is None,
    )


def _note_first(tx: Tx, sale_id: str) -> bool:
    """Whether this is the one that comes first, of those who try at the same time."""
    mine = (lanes.c.sale_id == sale_id) & lanes.c.opened_at.is_(None)
    return tx.execute(update(lanes).where(mine).values(opened_at=tx.now)).rowcount == 1
