"""The cart of a buyer: read, put, remove."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, update

from shop.cart.rules import MOST_PRODUCTS, CartFull, quantity_faults
from shop.catalogue.rules import UnknownProduct
from shop.errors import InvalidFields
from shop.storage.database import Database, Tx
from shop.storage.tables import cart_items, products


@dataclass(frozen=True, slots=True)
class CartItem:
    """So many units of one product; `price` is the product's own, in minor units of `currency` (a sale may ask another)."""

    product_id: str
    title: str
    price: int
    currency: str
    image: str | None
    quantity: int


def read_cart(db: Database, account_id: str) -> list[CartItem]:
    """Everything in the cart, by title."""
    return db.read(_read, account_id)


def put_item(db: Database, account_id: str, product_id: str, quantity: int) -> list[CartItem]:
    """Have exactly `quantity` of this product in the cart; the cart as it is then. Raises InvalidFields, UnknownProduct, CartFull."""
    faults = list(quantity_faults(quantity))
    if faults:
        raise InvalidFields(faults)
    return db.run(_put, account_id, product_id, quantity)


def remove_item(db: Database, account_id: str, product_id: str) -> list[CartItem]:
    """Have none of this product in the cart, whether or not there was any; the cart as it is then."""
    return db.run(_remove, account_id, product_id)


def _item(account_id: str, product_id: str) -> ColumnElement[bool]:
    return (cart_items.c.account_id == account_id) & (cart_items.c.product_id == product_id)


def _read(tx: Tx, account_id: str) -> list[CartItem]:
    columns = (
        products.c.product_id,
        products.c.title,
        products.c.price,
        products.c.currency,
        products.c.image,
    )
    mine = (
        select(*columns, cart_items.c.quantity)
        .join(products, products.c.product_id == cart_items.c.product_id)
        .where(cart_items.c.account_id == account_id)
        .order_by(products.c.title, products.c.product_id)
    )
    return [CartItem(**row._mapping) for row in tx.all(mine)]


def _remove(tx: Tx, account_id: str, product_id: str) -> list[CartItem]:
    tx.execute(delete(cart_items).where(_item(account_id, product_id)))
    return _read(tx, account_id)


def _put(tx: Tx, account_id: str, product_id: str, quantity: int) -> list[CartItem]:
    changed = (
        update(cart_items).where(_item(account_id, product_id)).values(quantity=quantity, updated_at=tx.now)
    )
    if tx.execute(changed).rowcount != 1:
        _add(tx, account_id, product_id, quantity)
    return _read(tx, account_id)


def _add(tx: Tx, account_id: str, product_id: str, quantity: int) -> None:
    if tx.first(select(products.c.product_id).where(products.c.product_id == product_id)) is None:
        raise UnknownProduct("there is no such product")
    count = select(func.count()).select_from(cart_items).where(cart_items.c.account_id == account_id)
    if tx.scalar(count) >= MOST_PRODUCTS:
        raise CartFull(f"a cart holds at most {MOST_PRODUCTS} different products")
    row = {"account_id": account_id, "product_id": product_id, "quantity": quantity, "updated_at": tx.now}
    tx.insert(cart_items, [row])
