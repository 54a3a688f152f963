"""After a key was rotated: everything that is sealed is sealed anew, so that the old key can be dropped.

Goes through the tables in small transactions while the shop is open; rows that change meanwhile are left to the next round, since
every new value is sealed with the active key anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Row, Table, select, update

from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, addresses, draws, operators, orders, outbox
from shop.vault import Lookup, Vault, place

BATCH = 200


@dataclass(frozen=True, slots=True)
class _Closed:
    """A table with sealed columns. `row_id` is the column that stands in a field's place; `paged_by` orders the walk."""

    table: Table
    row_id: Column[Any]
    sealed: tuple[str, ...]
    paged_by: Column[Any]
    lookup: bool = False


_CLOSED = (
    _Closed(
        accounts,
        accounts.c.account_id,
        ("email_sealed", "name_sealed", "phone_sealed"),
        accounts.c.account_id,
        True,
    ),
    _Closed(
        operators, operators.c.operator_id, ("email_sealed", "name_sealed"), operators.c.operator_id, True
    ),
    _Closed(addresses, addresses.c.address_id, ("address_sealed",), addresses.c.address_id),
    _Closed(orders, orders.c.order_id, ("address_sealed",), orders.c.order_id),
    _Closed(draws, draws.c.sale_id, ("seed_sealed",), draws.c.sale_id),
    _Closed(outbox, outbox.c.dedupe, ("payload_sealed",), outbox.c.outbox_id),
)


def reseal(db: Database, vault: Vault, lookup: Lookup) -> int:
    """Seal every closed field with the active key and store every look-up under it; returns how many rows changed."""
    changed = 0
    for closed in _CLOSED:
        for page in _pages(db, closed):
            changed += db.run(_reseal_page, vault, lookup, closed, page)
    return changed


def _pages(db: Database, closed: _Closed) -> Iterator[list[Any]]:
    last: Any = None
    while True:
        page = db.read(_page, closed.paged_by, last)
        if not page:
            return
        yield page
        last = page[-1]


def _page(tx: Tx, paged_by: Column[Any], last: Any) -> list[Any]:
    ids = select(paged_by).order_by(paged_by).limit(BATCH)
    return list(tx.scalars(ids if last is None else ids.where(paged_by > last)))


def _reseal_page(tx: Tx, vault: Vault, lookup: Lookup, closed: _Closed, page: list[Any]) -> int:
    found = select(closed.table).where(closed.paged_by.in_(page)).order_by(closed.paged_by).with_for_update()
    changed = 0
    for row in tx.all(found):
        values = _values(vault, lookup, closed, row)
        if values:
            mine = closed.paged_by == row._mapping[closed.paged_by]
            tx.execute(update(closed.table).where(mine).values(values))
            changed += 1
    return changed


def _values(vault: Vault, lookup: Lookup, closed: _Closed, row: Row[Any]) -> dict[str, Any]:
    row_id = row._mapping[closed.row_id]
    values: dict[str, Any] = {}
    for column in closed.sealed:
        sealed, where = row._mapping[column], place(f"{closed.table.name}.{column}", row_id)
        if sealed:
            fresh = vault.reseal(sealed, where)
            if fresh is not None:
                values[column] = fresh
            if closed.lookup and column == "email_sealed":
                email_lookup = lookup.of(vault.open(sealed, where))
                if email_lookup != row._mapping["email_lookup"]:
                    values["email_lookup"] = email_lookup
    return values
