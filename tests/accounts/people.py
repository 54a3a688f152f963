"""People for tests: tools with keys of their own and a cheap password hash, and a post office that reads its mail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Table, update

from shop.accounts.kit import AccountKit
from shop.accounts.passwords import Hasher
from shop.accounts.rules import Address
from shop.accounts.signup import sign_up, verify
from shop.mail.outbox import KIND, deliver_due, mail_effect
from shop.mail.sink import MailSink, SunkMail, read_sink
from shop.storage.database import Database, Tx
from shop.storage.tables import metadata
from shop.vault import Lookup, Vault

BASE_URL = "https://sale.example.com"
EMAIL = "minji.kim@mail.example.com"
PASSWORD = "five tiny seagulls"
NAME = "김민지"
PHONE = "+82 10 5550 1234"
ADDRESS = Address(
    recipient="김민지 앞",
    line1="세종대로 110",
    line2="7층",
    city="서울",
    postcode="04524",
    country="KR",
    phone=PHONE,
)
OLD_KEY, NEW_KEY = bytes(range(32)), bytes(range(100, 132))


def kit_of(active: str = "k1", keys: dict[str, bytes] | None = None) -> AccountKit:
    """Tools of an installation whose key ring holds `keys`."""
    by_id = keys or {"k1": OLD_KEY}
    return AccountKit(
        Vault(active, by_id), Lookup(active, by_id), Hasher(memory_kib=64, time_cost=1), code_key=b"c" * 32
    )


@dataclass
class PostOffice:
    """Carries out the outbox into a Maildir."""

    db: Database
    kit: AccountKit
    folder: Path

    def deliver(self) -> int:
        """Everything due; how many were delivered."""
        effect = mail_effect(self.db, self.kit.vault, MailSink(self.folder), BASE_URL)
        return deliver_due(self.db, self.kit.vault, {KIND: effect})

    def mails(self) -> list[SunkMail]:
        """All mails so far, newest first."""
        self.deliver()
        return read_sink(self.folder)

    def code(self) -> str:
        """The code in the newest mail."""
        found = re.search(r"^ +([0-9]{8})$", self.mails()[0]["text"], re.MULTILINE)
        assert found, "the newest mail has no code"
        return found[1]


def wrong(code: str) -> str:
    """Some other code."""
    return f"{(int(code) + 1) % 10**8:08}"


def register(db: Database, kit: AccountKit, email: str = EMAIL) -> str:
    """Ask for an account, with every field filled in."""
    return sign_up(db, kit, email, PASSWORD, NAME, PHONE, ADDRESS, "ko")


def registered(db: Database, kit: AccountKit, post: PostOffice, email: str = EMAIL) -> str:
    """A verified account; its id."""
    account_id = register(db, kit, email)
    verify(db, kit, email, post.code())
    return account_id


def age(db: Database, table: Table, by: timedelta, *columns: Column[Any]) -> None:
    """Move these moments of every row into the past, as if so much time had gone by."""

    def move(tx: Tx) -> None:
        for row in tx.all(table.select()):
            key = [column == row._mapping[column] for column in table.primary_key.columns]
            past = {
                column: row._mapping[column] - by for column in columns if row._mapping[column] is not None
            }
            if past:
                tx.execute(update(table).where(*key).values(past))

    db.run(move)


def everything_stored(db: Database) -> bytes:
    """Every value of every row of every table, in one heap."""
    heap: list[bytes] = []
    for table in metadata.sorted_tables:
        for row in db.read(lambda tx, table=table: tx.all(table.select())):  # type: ignore[misc]
            heap += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(heap)
