"""The forms in which catalogue and lines are shown, encoded once for everybody who asks. Pure; kept by `snapshot.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from gateway import views
from gateway.bodies.line import LineBody
from gateway.bodies.sales import ProductBody, ProductList, SaleBody, SaleList
from shop.catalogue.products import Catalogue
from waiting_room.line_state import LineState
from waiting_room.polling import PollLimits

if TYPE_CHECKING:
    from gateway.draws import Draws

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LineView:
    """The shared state of one line, ready to be sent: `encoded` JSON and its weak `etag`, which leaves the time out."""

    state: LineState
    body: LineBody
    encoded: bytes
    etag: bytes


@dataclass(frozen=True, slots=True)
class Pictures:
    """Catalogue and lines put together, encoded once for everybody."""

    products: Mapping[str, ProductBody]
    sales: Mapping[str, SaleBody]
    product_list: bytes
    sale_list: bytes
    product_json: Mapping[str, bytes]
    sale_json: Mapping[str, bytes]


def paint(
    catalogue: Catalogue, states: Mapping[str, LineState | None], draws: Draws, now: datetime
) -> Pictures:
    """Products and sales as they are shown at `now`; `states` by slug, None for a line that is not known."""
    products_by_id = {product.product_id: product for product in catalogue.products}
    sales = {
        sale.slug: views.sale_body(sale, states[sale.slug], products_by_id, now, draws.body(sale))
        for sale in catalogue.sales
    }
    products = {
        product.product_id: views.product_body(product, sales.values()) for product in catalogue.products
    }
    encode = msgspec.json.encode
    return Pictures(
        products=products,
        sales=sales,
        product_list=encode(ProductList(items=list(products.values()), next_cursor=None)),
        sale_list=encode(SaleList(items=list(sales.values()), next_cursor=None)),
        product_json={product_id: encode(body) for product_id, body in products.items()},
        sale_json={slug: encode(body) for slug, body in sales.items()},
    )


def view_of(state: LineState, limits: PollLimits, before: LineView | None) -> LineView:
    """The shared state of a line as it is sent; `before` is what was sent last."""
    body = views.line_body(state, limits, before.body if before else None)
    timeless = msgspec.json.encode(msgspec.structs.replace(body, as_of=_EPOCH))
    digest = hashlib.blake2b(timeless, digest_size=9).hexdigest()
    return LineView(state, body, msgspec.json.encode(body), f'W/"{digest}"'.encode())
