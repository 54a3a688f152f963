"""The controller's books in one SQLite file: enough of them to lead sales without a shop, and shared by several processes.

Fills the port `waiting_room.books.Books`. Run as a program it is a controller: `python -m tests.promises.paper_books
<redis url> <file> <token>`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from firstcome import clients
from waiting_room.books import DrawBook, ListEnd, SaleRef
from waiting_room.controller import Controller
from waiting_room.keys import SaleKeys
from waiting_room.recovery import OrderRow
from waiting_room.room import Room
from waiting_room.ticking import CallRow

FIRST_TABLES = """
create table if not exists sales (sale_id text primary key, settings text, stock text, next_number integer);
create table if not exists calls (entry_id text primary key, event text, ticket_id text, number integer, at_ms integer,
  turn integer, detail text);
create table if not exists copied (sale_id text primary key, at_ms integer);
create table if not exists draws (sale_id text primary key, seed blob, opened_ms integer, size integer);
create table if not exists pages (sale_id text, page integer, tickets text, primary key (sale_id, page));
create table if not exists orders (order_id text primary key, jti text, state text);
"""


class PaperBooks:
    """Books in the file `path`. `torn` names sales whose books fail, `illegible` those whose log cannot be read.

    Rows of the log and orders are those of the only sale that a test has lose its store.
    """

    def __init__(self, path: Path, redis_url: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._db.executescript(FIRST_TABLES)
        self._redis = clients.redis_async(redis_url)
        self.torn: set[str] = set()
        self.illegible: set[str] = set()

    def open_sale(self, sale_id: str, settings: dict[str, str], stock: dict[str, str]) -> None:
        row = (sale_id, json.dumps(settings), json.dumps(stock), 1)
        self._db.execute("insert into sales values (?, ?, ?, ?)", row)

    def open_draw(self, sale_id: str, seed: bytes) -> None:
        self._db.execute("insert into draws values (?, ?, null, null)", (sale_id, seed))

    def close_sale(self, sale_id: str) -> None:
        self._db.execute("delete from sales where sale_id = ?", (sale_id,))

    def change_sale(self, sale_id: str, **changes: str) -> None:
        """Change settings as an operator does; the next `publish` lays them."""
        row = self._db.execute("select settings from sales where sale_id = ?", (sale_id,)).fetchone()
        settings = json.dumps(json.loads(row[0]) | changes)
        self._db.execute("update sales set settings = ? where sale_id = ?", (settings, sale_id))

    def numbers_called(self) -> list[int]:
        rows = self._db.execute("select number from calls where event = 'call' order by rowid")
        return [row[0] for row in rows]

    def instants_called(self) -> list[int]:
        return [
            row[0] for row in self._db.execute("select at_ms from calls where event = 'call' order by at_ms")
        ]

    async def live_sales(self) -> Sequence[SaleRef]:
        return [SaleRef(row[0]) for row in self._db.execute("select sale_id from sales")]

    async def publish(self, sale_id: str) -> None:
        self._check(sale_id)
        row = self._db.execute("select settings, stock from sales where sale_id = ?", (sale_id,)).fetchone()
        keys = SaleKeys(sale_id)
        await self._redis.hset(keys.settings, mapping=json.loads(row[0]))
        await self._redis.hset(keys.stock, mapping=json.loads(row[1]))

    async def next_block(self, sale_id: str, size: int) -> tuple[int, int]:
        self._check(sale_id)
        taken = self._db.execute(
            "update sales set next_number = next_number + ? where sale_id = ? returning next_number",
            (size, sale_id),
        ).fetchone()
        return taken[0] - size, taken[0] - 1

    async def copy_calls(self, sale_id: str, rows: Sequence[CallRow]) -> None:
        self._check(sale_id)
        values = [
            (row.entry_id, row.event, row.ticket_id, row.number, row.at_ms, row.turn, row.detail)
            for row in rows
        ]
        self._db.executemany("insert or ignore into calls values (?, ?, ?, ?, ?, ?, ?)", values)

    async def note_copied(self, sale_id: str, at_ms: int) -> None:
        self._check(sale_id)
        self._db.execute("insert or replace into copied values (?, ?)", (sale_id, at_ms))

    async def note_numbers(self, sale_id: str, given: int, at_ms: int) -> None:  # noqa: ARG002 (the port)
        self._check(sale_id)

    async def whole_until(self, sale_id: str) -> int | None:
        self._check(sale_id)
        row = self._db.execute("select at_ms from copied where sale_id = ?", (sale_id,)).fetchone()
        return row[0] if row else None

    async def calls_after(self, sale_id: str, entry_id: str, count: int) -> Sequence[CallRow]:
        if sale_id in self.illegible:
            raise OSError(f"the call log of {sale_id} cannot be read")
        rows = self._db.execute(
            "select entry_id, '', event, ticket_id, number, turn, detail, at_ms from calls where entry_id > ?"
            " order by entry_id limit ?",
            (entry_id, count),
        )
        return [CallRow(*row) for row in rows]

    async def orders_after(self, sale_id: str, order_id: str, count: int) -> Sequence[OrderRow]:  # noqa: ARG002
        rows = self._db.execute(
            "select order_id, jti, state from orders where order_id > ? order by order_id limit ?",
            (order_id, count),
        )
        return [OrderRow(*row) for row in rows]

    async def draw(self, sale_id: str) -> DrawBook | None:
        self._check(sale_id)
        query = "select seed, opened_ms, size from draws where sale_id = ?"
        row = self._db.execute(query, (sale_id,)).fetchone()
        return DrawBook(*row) if row else None

    async def note_opened(self, sale_id: str, at_ms: int) -> None:
        self._check(sale_id)
        query = "update draws set opened_ms = ? where sale_id = ? and opened_ms is null"
        self._db.execute(query, (at_ms, sale_id))

    async def list_end(self, sale_id: str) -> ListEnd:
        self._check(sale_id)
        tickets = (await self.list_text(sale_id)).decode().splitlines()
        query = "select count(*) from pages where sale_id = ?"
        pages = self._db.execute(query, (sale_id,)).fetchone()[0]
        return ListEnd(pages, len(tickets), tickets[-1]) if tickets else ListEnd()

    async def add_to_list(self, sale_id: str, end: ListEnd, tickets: str) -> ListEnd:
        self._check(sale_id)
        self._db.execute("insert or ignore into pages values (?, ?, ?)", (sale_id, end.pages, tickets))
        query = "select tickets from pages where sale_id = ? and page = ?"
        there = self._db.execute(query, (sale_id, end.pages)).fetchone()[0].splitlines()
        return ListEnd(end.pages + 1, end.tickets + len(there), there[-1])

    async def publish_list(self, sale_id: str, end: ListEnd) -> None:
        if await self.list_end(sale_id) == end:
            query = "update draws set size = ? where sale_id = ? and size is null"
            self._db.execute(query, (end.tickets, sale_id))

    async def list_text(self, sale_id: str) -> bytes:
        self._check(sale_id)
        query = "select tickets from pages where sale_id = ? order by page"
        return "".join(row[0] for row in self._db.execute(query, (sale_id,))).encode()

    def note_order(self, order_id: str, jti: str, state: str) -> None:
        self._db.execute("insert or replace into orders values (?, ?, ?)", (order_id, jti, state))

    async def close(self) -> None:
        await self._redis.aclose()
        self._db.close()

    def _check(self, sale_id: str) -> None:
        if sale_id in self.torn:
            raise OSError(f"the books of {sale_id} are torn")


async def main(redis_url: str, path: str, token: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Controller(
        Room(clients.redis_async(redis_url)), PaperBooks(Path(path), redis_url), token=token
    ).run(stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
