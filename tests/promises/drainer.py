"""A process that drains one lane from a file of entries, beside others that do the same; it may be told to die at its work.

    python -m tests.promises.drainer URL SALE FILE BATCH LETTERS

With LETTERS above 0 it kills itself (-9) when it comes to the letter of that number, that is, after the orders' rows and before the commit.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shop.errors import LaneTaken, Unavailable
from shop.orders.decide import drain_once
from shop.orders.entry import OrderEntry
from shop.storage.database import Database
from shop.vault import Vault
from tests.counter import View


class DeadlyVault(Vault):
    """Seals letters until its number is up."""

    letters = 0

    def seal_all(self, fields: Sequence[tuple[str, str]]) -> list[bytes]:
        if 0 < self.letters <= len(fields):
            os.kill(os.getpid(), signal.SIGKILL)
        self.letters -= len(fields)
        return super().seal_all(fields)


def main() -> None:
    url, sale_id, path, batch, letters = sys.argv[1:]
    lane = View(msgspec.json.decode(Path(path).read_bytes(), type=list[OrderEntry]))
    vault = DeadlyVault("k1", {"k1": bytes(32)})
    vault.letters = int(letters)
    db = Database(url)
    while lane.entries:
        try:
            result = drain_once(db, sale_id, lane.head, batch_max=int(batch), vault=vault)
        except (LaneTaken, Unavailable):
            continue
        lane.take_off(result)
    db.dispose()


if __name__ == "__main__":
    main()
