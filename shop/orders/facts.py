"""Reading what a batch of orders is judged on: a handful of queries, whatever the size of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, func, select

from shop.orders.entry import OrderEntry
from shop.orders.judgement import Books, Item
from shop.orders.rules import LIVE_STATES, pass_claim
from shop.storage.columns import is_among
from shop.storage.database import NOW, Tx
from shop.storage.tables import accounts, addresses, order_lines, orders, products, sale_items, sales

NOT_SELLING = ("draft", "cancelled")


@dataclass(frozen=True, slots=True)
class Facts:
    """A sale's books for one batch, and what its rows need besides. `sealed` are the encrypted addresses by id."""

    books: Books
    sale_title: str
    currency: str
    hold: timedelta
    sealed: dict[str, bytes]


def read_facts(tx: Tx, sale_id: str, entries: Sequence[OrderEntry]) -> Facts:
    """Everything that deciding these entries needs.

    Free units are read without a lock: only the holder of the lane raises held + sold, and the UPDATE re-checks. Accounts are
    locked against erasure.
    """
    columns = (sales.c.title, sales.c.control, sales.c.hold_s, NOW)
    (sale,) = tx.all_and_now(select(*columns).where(sales.c.sale_id == sale_id))
    offered = _items(tx, sale_id)
    owned = _addresses(tx, entries)
    books = Books(
        on_sale=sale.control not in NOT_SELLING,
        items={
            row.product_id: Item(row.sale_item_id, row.product_id, row.title, row.price, row.limit_per_buyer)
            for row in offered
        },
        free={row.sale_item_id: row.allotted - row.held - row.sold for row in offered},
        bought=_bought(tx, sale_id, entries),
        used_passes=_used_passes(tx, sale_id, entries),
        accounts=_open_accounts(tx, entries),
        addresses={row.address_id: row.account_id for row in owned},
    )
    currency = offered[0].currency if offered else "XXX"
    sealed = {row.address_id: row.address_sealed for row in owned}
    return Facts(books, sale.title, currency, timedelta(seconds=sale.hold_s), sealed)


def _items(tx: Tx, sale_id: str) -> Sequence[Row[Any]]:
    return tx.all(
        select(sale_items, products.c.title)
        .join(products, products.c.product_id == sale_items.c.product_id)
        .where(sale_items.c.sale_id == sale_id)
        .order_by(sale_items.c.sale_item_id)
    )


def _addresses(tx: Tx, entries: Sequence[OrderEntry]) -> Sequence[Row[Any]]:
    wanted = {entry.address_id for entry in entries if entry.address_id is not None}
    return tx.all(select(addresses).where(is_among(addresses.c.address_id, wanted))) if wanted else []


def _bought(tx: Tx, sale_id: str, entries: Sequence[OrderEntry]) -> dict[tuple[str, int], int]:
    rows = tx.all(
        select(
            orders.c.account_id, order_lines.c.sale_item_id, func.sum(order_lines.c.quantity).label("units")
        )
        .join(order_lines, order_lines.c.order_id == orders.c.order_id)
        .where(is_among(orders.c.account_id, {entry.account_id for entry in entries}))
        .where(orders.c.sale_id == sale_id, orders.c.state.in_(LIVE_STATES))
        .group_by(orders.c.account_id, order_lines.c.sale_item_id)
    )
    return {(row.account_id, row.sale_item_id): int(row.units) for row in rows}


def _used_passes(tx: Tx, sale_id: str, entries: Sequence[OrderEntry]) -> set[str]:
    claims = {pass_claim(sale_id, entry.pass_jti) for entry in entries}
    return set(tx.scalars(select(orders.c.pass_jti).where(is_among(orders.c.pass_claim, claims))))


def _open_accounts(tx: Tx, entries: Sequence[OrderEntry]) -> frozenset[str]:
    """Those that are not erased. The shared lock holds an erasure up until these orders are there for it to see."""
    wanted = frozenset(entry.account_id for entry in entries)
    found = is_among(accounts.c.account_id, wanted) & accounts.c.erased_at.is_(None)
    if tx.scalar(select(func.count()).select_from(accounts).where(found).with_for_update(read=True)) == len(
        wanted
    ):
        return wanted  # as nearly always: their names need not travel
    return frozenset(tx.scalars(select(accounts.c.account_id).where(found).with_for_update(read=True)))
