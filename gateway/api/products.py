"""Products, from this process's snapshot."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from gateway.api.answers import PUBLIC, json_bytes
from gateway.bodies.sales import ProductBody, ProductList
from gateway.documenting import refuses
from gateway.services import Services
from shop.catalogue.rules import SORTS, page_of

Sort = Annotated[str, QueryParameter(description="one of " + ", ".join(SORTS))]
Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the part before")]
Limit = Annotated[int, QueryParameter(description="1 to 100", ge=1, le=100)]


@get("/products", tags=["catalogue"], sync_to_thread=False, responses=refuses("bad_fields", "unavailable"))
def list_products(
    services: NamedDependency[Services], sort: Sort = "newest", cursor: Cursor = None, limit: Limit = 50
) -> Response[ProductList]:
    """All products with price and stock state, at most a second old."""
    snapshot = services.snapshot
    page = page_of(snapshot.catalogue().products, sort=sort, cursor=cursor, limit=limit)
    bodies = snapshot.pictures().products
    items = [bodies[product.product_id] for product in page.items]
    return Response(ProductList(items=items, next_cursor=page.next_cursor), headers=PUBLIC)


@get(
    "/products/{product_id:str}",
    tags=["catalogue"],
    sync_to_thread=False,
    responses=refuses("unknown_product", "unavailable"),
)
def read_product(product_id: FromPath[str], services: NamedDependency[Services]) -> Response[ProductBody]:
    """One product; `sale` names the window that offers it."""
    services.snapshot.product(product_id)
    return json_bytes(services.snapshot.pictures().product_json[product_id])


HANDLERS = [list_products, read_product]
