"""My cart: a list that prefills checkout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway import identity
from gateway.bodies.sales import CartBody, CartItemBody
from gateway.documenting import MINE, refuses
from gateway.inputs import CartQuantity
from gateway.services import Services
from shop.cart import cart

AnyRequest = Request[Any, Any, Any]


@get("/cart", tags=["catalogue"], sync_to_thread=True, responses=refuses(*MINE))
def read_cart(request: AnyRequest, services: NamedDependency[Services]) -> CartBody:
    """What I mean to buy."""
    return _shown(cart.read_cart(services.db, _buyer(request, services)))


@put(
    "/cart/items/{product_id:str}",
    guards=[identity.buyers_only],
    tags=["catalogue"],
    sync_to_thread=True,
    responses=refuses(
        *MINE, "unreadable_body", "unsupported_media_type", "bad_fields", "unknown_product", "cart_full"
    ),
)
def put_item(
    product_id: FromPath[str],
    data: JSONBody[CartQuantity],
    request: AnyRequest,
    services: NamedDependency[Services],
) -> CartBody:
    """Have exactly so many of this product in the cart."""
    return _shown(cart.put_item(services.db, _buyer(request, services), product_id, data.quantity))


@delete(
    "/cart/items/{product_id:str}",
    tags=["catalogue"],
    sync_to_thread=True,
    status_code=200,
    responses=refuses(*MINE),
)
def remove_item(
    product_id: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> CartBody:
    """Have none of this product in the cart."""
    return _shown(cart.remove_item(services.db, _buyer(request, services), product_id))


def _buyer(request: AnyRequest, services: Services) -> str:
    return identity.require_live(services, identity.require_buyer(request)).subject_id


def _shown(items: Sequence[cart.CartItem]) -> CartBody:
    return CartBody(
        items=[
            CartItemBody(
                product_id=item.product_id,
                quantity=item.quantity,
                title=item.title,
                price=item.price,
                currency=item.currency,
                image=item.image,
            )
            for item in items
        ]
    )


HANDLERS = [read_cart, put_item, remove_item]
