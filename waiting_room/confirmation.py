"""Confirming a store: what the books know is laid again, then the line may be used, with numbers that were never given before.

The leader's clerk does it whenever the store is new, was emptied, restarted or set back. Knows what is laid in which order, not how
it is laid (scripts/relay.lua, scripts/confirm.lua) and not what it means (recovery.py).
"""

from __future__ import annotations

import secrets

import structlog

from waiting_room.books import Books, DrawBook
from waiting_room.recovery import Ledger, Loss
from waiting_room.room import Room

log = structlog.get_logger(__name__)

READ_AT_ONCE = 500
LAID_AT_ONCE = 200
# So often the books are asked for their copy of the call log before the line is confirmed without it.
TRIES_TO_READ_LOG = 5


class Confirmation:
    """One leader's way to a confirmed store of one sale. `token` holds its lease, which lives `lease_ms`."""

    def __init__(self, sale_id: str, room: Room, books: Books, *, token: str, lease_ms: int) -> None:
        self._sale_id = sale_id
        self._room = room
        self._books = books
        self._token = token
        self._lease_ms = lease_ms
        self._log = log.bind(sale_id=sale_id)
        self._failures = 0

    async def confirm(self, block_size: int) -> bool:
        """Lay everything and confirm, with a block of so many numbers; False when the room refused.

        Raises RoomUnavailable, or what the books raise; it may be done again at any time.
        """
        await self._books.publish(self._sale_id)
        copied_ms = await self._books.whole_until(self._sale_id)
        ledger = await self._read_log()
        if ledger is not None and not await self._lay(ledger):
            return False
        drawn = await self._books.draw(self._sale_id)
        first, last = await self._books.next_block(self._sale_id, block_size)
        loss = _loss(copied_ms, ledger)
        if loss is None:
            await self._note_beginning()
        return await self._confirm(first, last, loss, drawn)

    async def _confirm(self, first: int, last: int, loss: Loss | None, drawn: DrawBook | None) -> bool:
        store_id = secrets.token_urlsafe(9)
        answer = await self._room.confirm_store(
            self._sale_id, self._token, store_id, first, last, loss=loss, drawn=drawn
        )
        confirmed = answer == "confirmed"
        event = "store_confirmed" if confirmed else "store_not_confirmed"
        self._log.info(
            event, answer=answer, after_loss=loss is not None, log_read=loss is None or loss.log_read
        )
        return confirmed

    async def _read_log(self) -> Ledger | None:
        """Who was called, as the books know it; None when they fail again and again, and the line goes on without."""
        try:
            ledger = await self._read_ledger()
        except Exception:  # whatever the books raise
            self._failures += 1
            if self._failures < TRIES_TO_READ_LOG:
                raise
            log.exception("call_log_unreadable", sale_id=self._sale_id)
            return None
        self._failures = 0
        return ledger

    async def _read_ledger(self) -> Ledger:
        ledger, entry_id, order_id = Ledger(), "", ""
        while rows := await self._books.calls_after(self._sale_id, entry_id, READ_AT_ONCE):
            ledger.read_calls(rows)
            entry_id = rows[-1].entry_id
        while orders := await self._books.orders_after(self._sale_id, order_id, READ_AT_ONCE):
            ledger.read_orders(orders)
            order_id = orders[-1].order_id
        return ledger

    async def _lay(self, ledger: Ledger) -> bool:
        """Lay what the ledger tells, in steps that never hold the store for long."""
        for batch in ledger.batches(LAID_AT_ONCE):
            answer = await self._room.lay_served(self._sale_id, self._token, batch, self._lease_ms)
            if answer != "laid":
                self._log.warning("served_not_laid", answer=answer)
                return False
        return True

    async def _note_beginning(self) -> None:
        """Nobody was called yet: the log is whole as it is. From here on a confirmation is one after a loss."""
        line = (await self._room.lines([self._sale_id])).get(self._sale_id)
        if line is not None:
            await self._books.note_copied(self._sale_id, line.now_ms)


def _loss(copied_ms: int | None, ledger: Ledger | None) -> Loss | None:
    """What a loss leaves unknown; None for a line of which nothing was ever known, since it begins."""
    if ledger is not None and not ledger and copied_ms is None:
        return None
    return Loss(copied_ms=copied_ms or 0, log_read=ledger is not None)
