"""Stock as operators steer it: units of a sale, and what lies on the shelf. Blocks; runs in threads. Knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.bodies.operator import OperatorSaleBody, ShelfBody, ShelfList
from gateway.inputs import Allotment, ShelfChange
from gateway.operating import published
from gateway.sessions import Principal
from shop.sales import reading, stocking

if TYPE_CHECKING:
    from gateway.services import Services


def set_allotment(
    services: Services, principal: Principal, sale: str, product_id: str, wanted: Allotment
) -> OperatorSaleBody:
    """So many units of a product for the whole sale. Raises UnknownSale, NotInSale, IllegalMove or InvalidFields."""
    changed = stocking.set_allotment(
        services.db,
        principal.subject_id,
        reading.read_sale(services.db, sale).sale_id,
        product_id,
        wanted.allotted,
        wanted.reason,
    )
    return published(services, changed)


def adjust_on_hand(
    services: Services, principal: Principal, product_id: str, wanted: ShelfChange
) -> ShelfBody:
    """Put the count of a shelf right. Raises UnknownProduct, StaleCount or InvalidFields."""
    shelf = stocking.adjust_on_hand(
        services.db, principal.subject_id, product_id, wanted.change, wanted.reason, was=wanted.was
    )
    return _shelf_body(shelf)


def list_shelves(services: Services) -> ShelfList:
    """What every product has on hand, by title."""
    return ShelfList(
        items=[_shelf_body(shelf) for shelf in stocking.list_shelves(services.db)], next_cursor=None
    )


def _shelf_body(shelf: stocking.Shelf) -> ShelfBody:
    return ShelfBody(product_id=shelf.product_id, title=shelf.title, on_hand=shelf.on_hand)
