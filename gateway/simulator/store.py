"""The stand-in's memory: payments, the record behind its Idempotency-Keys, and the callbacks still to be delivered.

One SQLite file and one connection behind a lock; every change of a payment and the callbacks that tell of it are one
transaction, so that a restart at any moment forgets neither. Times are unix milliseconds. Knows no HTTP.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.simulator.outcomes import Bank, Outcome, Plan, Sending, Status, plan
from gateway.simulator.payment import Payment, event, now_ms

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, reference TEXT NOT NULL UNIQUE,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, description TEXT NOT NULL,
    return_url TEXT NOT NULL, expires_at_ms INTEGER NOT NULL, created_at_ms INTEGER NOT NULL,
    status TEXT NOT NULL, captured INTEGER NOT NULL, refunded INTEGER NOT NULL,
    bank TEXT, bank_answers_at_ms INTEGER);
CREATE INDEX IF NOT EXISTS by_answer ON payments (bank_answers_at_ms) WHERE bank_answers_at_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    delivery_id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, body TEXT NOT NULL, due_at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, ended_at_ms INTEGER, last_answer TEXT);
CREATE INDEX IF NOT EXISTS by_due ON deliveries (due_at_ms) WHERE ended_at_ms IS NULL;
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback on its way: the exact bytes to send and how often that was tried."""

    delivery_id: int
    event_id: str
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API as it was first given."""

    status: int
    body: str


class KeyReused(Exception):
    """The Idempotency-Key belongs to another request."""


class Store:
    """The file's one door; safe to use from several threads of one process."""

    def __init__(self, path: Path, *, slow_s: float, late_s: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._slow_ms, self._late_ms = int(slow_s * 1000), int(late_s * 1000)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # ------------------------------------------------------------ payments

    def payment(self, *, id: str = "", token: str = "", reference: str = "") -> Payment | None:
        """The payment with that id, page token or reference."""
        with self._transaction() as connection:
            return _find(connection, id=id, token=token, reference=reference)

    def create(self, payment: Payment) -> Payment:
        """Keep a new payment; one with the same reference is returned as it is."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO payments VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                [getattr(payment, name) for name in Payment.__slots__],
            )
            return _need(_find(connection, reference=payment.reference))

    def choose(self, token: str, outcome: Outcome) -> Payment | None:
        """The buyer's choice; without effect on a payment that is no longer open. None for an unknown token."""
        with self._transaction() as connection:
            payment = _find(connection, token=token)
            if payment is not None and payment.status is Status.OPEN:
                self._apply(connection, payment, plan(outcome, payment.amount))
            return _find(connection, token=token)

    def cancel(self, payment_id: str) -> Payment:
        """Cancel it unless it is decided. A bank that answers too late will not hear of it."""
        with self._transaction() as connection:
            payment = _need(_find(connection, id=payment_id))
            if payment.undecided:
                keeps_going = payment.bank is Bank.TOO_LATE
                connection.execute(
                    "UPDATE payments SET status = ?, bank_answers_at_ms = ? WHERE id = ?",
                    (Status.CANCELLED, now_ms() + self._late_ms if keeps_going else None, payment_id),
                )
                _send(connection, _need(_find(connection, id=payment_id)), [Sending("payment.cancelled")])
            return _need(_find(connection, id=payment_id))

    def refund(self, payment_id: str, amount: int) -> Payment | None:
        """Give back that much; None if that were more than is left."""
        with self._transaction() as connection:
            payment = _need(_find(connection, id=payment_id))
            if amount > payment.captured - payment.refunded:
                return None
            connection.execute(
                "UPDATE payments SET refunded = refunded + ? WHERE id = ?", (amount, payment_id)
            )
            refunded = _need(_find(connection, id=payment_id))
            _send(connection, refunded, [Sending("payment.refunded")])
            return refunded

    def hear_from_banks(self) -> None:
        """Capture the payments whose bank has answered by now."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM payments WHERE bank_answers_at_ms <= ?", (now_ms(),)
            ).fetchall()
            for payment in map(_payment, rows):
                self._apply(connection, payment, plan(Outcome.APPROVE, payment.amount))

    def _apply(self, connection: sqlite3.Connection, payment: Payment, decided: Plan) -> None:
        answers_at: int | None
        match decided.bank:
            case Bank.SOON:
                answers_at = now_ms() + self._slow_ms
            case Bank.TOO_LATE:
                answers_at = max(now_ms(), payment.expires_at_ms) + self._late_ms
            case None:
                answers_at = None
        connection.execute(
            "UPDATE payments SET status = ?, captured = ?, bank = ?, bank_answers_at_ms = ? WHERE id = ?",
            (decided.status, decided.captured, decided.bank, answers_at, payment.id),
        )
        _send(connection, _need(_find(connection, id=payment.id)), decided.sendings)

    # ------------------------------------------------------------ idempotency

    def once(self, key: str, fingerprint: str, act: Callable[[], Answer]) -> Answer:
        """The answer first given under this key, else that of `act`, kept unless it is a refusal. Raises KeyReused.

        `act` and its record are one transaction.
        """
        with self._transaction() as connection:
            row = connection.execute("SELECT * FROM answers WHERE key = ?", (key,)).fetchone()
            if row is not None:
                if row["fingerprint"] != fingerprint:
                    raise KeyReused
                return Answer(row["status"], row["body"])
            answer = act()
            if answer.status < 400:
                row = (key, fingerprint, answer.status, answer.body)
                connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", row)
            return answer

    # ------------------------------------------------------------ deliveries

    def due(self, limit: int) -> list[Delivery]:
        """Callbacks that should be sent now, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM deliveries WHERE ended_at_ms IS NULL AND due_at_ms <= ? ORDER BY due_at_ms LIMIT ?",
                (now_ms(), limit),
            ).fetchall()
        return [
            Delivery(row["delivery_id"], row["event_id"], row["body"].encode(), row["attempts"])
            for row in rows
        ]

    def next_event_at_ms(self) -> int | None:
        """When the next callback is due or the next bank answers."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT min(at) FROM (SELECT min(due_at_ms) AS at FROM deliveries WHERE ended_at_ms IS NULL"
                " UNION ALL SELECT min(bank_answers_at_ms) FROM payments)"
            ).fetchone()
        return None if row[0] is None else int(row[0])

    def delivered(self, delivery_id: int, answer: str) -> None:
        """The shop took it."""
        self._end(delivery_id, answer)

    def gave_up(self, delivery_id: int, answer: str) -> None:
        """No further attempt is planned."""
        self._end(delivery_id, "gave up: " + answer)

    def not_delivered(self, delivery_id: int, answer: str, again_in_s: float) -> None:
        """Plan the next attempt."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due_at_ms = ?, last_answer = ? WHERE delivery_id = ?",
                (now_ms() + int(again_in_s * 1000), answer, delivery_id),
            )

    def _end(self, delivery_id: int, answer: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET attempts = attempts + 1, ended_at_ms = ?, last_answer = ? WHERE delivery_id = ?",
                (now_ms(), answer, delivery_id),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection.in_transaction:  # a step of `once`
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _find(
    connection: sqlite3.Connection, *, id: str = "", token: str = "", reference: str = ""
) -> Payment | None:
    row = connection.execute(
        "SELECT * FROM payments WHERE id = ? OR token = ? OR reference = ?", (id, token, reference)
    ).fetchone()
    return None if row is None else _payment(row)


def _need(payment: Payment | None) -> Payment:
    if payment is None:
        raise LookupError("no such payment")
    return payment


def _payment(row: sqlite3.Row) -> Payment:
    values: dict[str, Any] = dict(row)
    values["status"] = Status(values["status"])
    values["bank"] = None if values["bank"] is None else Bank(values["bank"])
    return Payment(**values)


def _send(connection: sqlite3.Connection, payment: Payment, sendings: Iterable[Sending]) -> None:
    event_id, body = "", ""
    for sending in sendings:
        if not sending.same_event:
            event_id, body = "evt_" + secrets.token_hex(12), event(payment, sending.event_type)
        connection.execute(
            "INSERT INTO deliveries (event_id, body, due_at_ms) VALUES (?, ?, ?)",
            (event_id, body, now_ms() + int(sending.after_s * 1000)),
        )
