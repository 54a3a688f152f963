"""Products as they stand in the database, and the catalogue: everything public in one value, read once for a whole crowd."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from shop.catalogue.rules import Product, ProductExists, UnknownProduct, product_faults
from shop.errors import InvalidFields
from shop.sales.reading import Sale, with_items
from shop.sales.rules import Control
from shop.storage.database import Database, Tx
from shop.storage.tables import products, sales

# A process keeps the whole catalogue in memory and reads it every second, so it has to end somewhere.
MOST_PRODUCTS = 1_000
MOST_SALES = 200


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a stranger may see, as of `read_at` (the database's time): the newest products, and the sales that are no drafts,
    those that close last first."""

    products: tuple[Product, ...]
    sales: tuple[Sale, ...]
    read_at: datetime


def read_catalogue(db: Database) -> Catalogue:
    """The catalogue of this moment, by three queries."""
    return db.read(_catalogue)


def read_product(db: Database, product_id: str) -> Product:
    """One product. Raises UnknownProduct."""
    row = db.read(lambda tx: tx.first(select(products).where(products.c.product_id == product_id)))
    if row is None:
        raise UnknownProduct("there is no such product")
    return _product(row)


def create_product(
    db: Database,
    *,
    title: str,
    description: str,
    price: int,
    currency: str,
    on_hand: int,
    image: str | None = None,
    product_id: str | None = None,
) -> str:
    """Add a product with `on_hand` units; returns its id, made up unless given. Raises InvalidFields, ProductExists."""
    product_id = secrets.token_urlsafe(12) if product_id is None else product_id
    faults = list(product_faults(product_id, title, description, price, currency, image, on_hand))
    if faults:
        raise InvalidFields(faults)
    product = {
        "product_id": product_id,
        "title": title.strip(),
        "description": description,
        "price": price,
        "currency": currency,
        "image": image,
        "on_hand": on_hand,
    }
    db.run(_create, product)
    return product_id


def _create(tx: Tx, product: dict[str, Any]) -> None:
    same = select(products.c.product_id).where(products.c.product_id == product["product_id"])
    if tx.first(same) is not None:
        raise ProductExists("there is a product with this id")
    tx.insert(products, [product | {"created_at": tx.now}])


def _catalogue(tx: Tx) -> Catalogue:
    newest = select(products).order_by(products.c.created_at.desc(), products.c.product_id)
    public = select(sales).where(sales.c.control != Control.DRAFT).order_by(sales.c.closes_at.desc())
    return Catalogue(
        tuple(_product(row) for row in tx.all(newest.limit(MOST_PRODUCTS))),
        tuple(with_items(tx, tx.all(public.limit(MOST_SALES)))),
        tx.now,
    )


def _product(row: Row[Any]) -> Product:
    return Product(**row._mapping)
