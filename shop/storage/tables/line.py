"""What the database keeps of the line: draws, numbers given, and the log of calls."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, String

from shop.storage.columns import Id, Instant, Sealed
from shop.storage.tables.table import table

draws = table(  # one row for each sale that is drawn; what is public about it stands beside the sealed seed
    "draws",
    Column("sale_id", Id(), primary_key=True),
    Column("commitment", Id(64), nullable=False),
    Column("seed_sealed", Sealed(256), nullable=False),
    Column("opened_at", Instant, nullable=True),
    Column("published_at", Instant, nullable=True),  # from then on everybody may know seed and list
    Column("size", Integer, nullable=True),
    Column("list_hash", Id(64), nullable=True),
)

draw_pages = table(  # the list of a draw: ids in the order of their scores, each followed by a newline
    "draw_pages",
    Column("sale_id", Id(), nullable=False),
    Column("page", Integer, nullable=False),
    Column("tickets", Integer, nullable=False),
    Column("ids", LargeBinary(60_000), nullable=False),
    PrimaryKeyConstraint("sale_id", "page"),
)

number_marks = table(  # about once a second while people join: up to which number the line had given
    "number_marks",
    Column("sale_id", Id(), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("sale_id", "number"),
)

call_log = table(  # copied from Redis: every call, claim, miss, lapse and freed slot
    "call_log",
    Column("sale_id", Id(), nullable=False),
    # store id + the stream's own entry id: copying twice changes nothing
    Column("entry_id", Id(64), nullable=False),
    Column("event", String(16), nullable=False),
    Column("ticket_id", Id(), nullable=False),
    Column("number", BigInteger, nullable=True),
    Column("turn", Integer, nullable=True),
    Column("detail", String(64), nullable=True),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("sale_id", "entry_id"),
    Index(None, "sale_id", "at"),
    Index(None, "sale_id", "ticket_id"),
)
