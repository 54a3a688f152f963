"""The catalogue, and what lies in carts."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, PrimaryKeyConstraint, String, Text

from shop.storage.columns import Id, Instant
from shop.storage.tables.table import table

products = table(
    "products",
    Column("product_id", Id(), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("image", String(64), nullable=True),  # a file name below /static/products
    Column("on_hand", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("on_hand >= 0", name="on_hand_never_negative"),
    CheckConstraint("price >= 0", name="product_price_never_negative"),
)

cart_items = table(
    "cart_items",
    Column("account_id", Id(), nullable=False),
    Column("product_id", Id(), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
    PrimaryKeyConstraint("account_id", "product_id"),
    CheckConstraint("quantity > 0", name="cart_quantity_positive"),
)
