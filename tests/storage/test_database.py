"""One transaction at a time: races are run again, outages are named at once, and each transaction has one time."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Thread
from typing import Any

import psutil
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from firstcome.servers import PrivateMariaDB
from shop.errors import FieldFault, InvalidFields, Unavailable
from shop.storage.database import Contended, Database, Tx
from shop.storage.engine import GREETING_TIMEOUT_S
from shop.storage.faults import is_duplicate
from shop.storage.locks import take_lane
from shop.storage.paging import read_page
from shop.storage.tables import audit, lanes, products
from tests.running import eventually


def add_lane(tx: Tx, name: str, seq: int = 0) -> None:
    tx.insert(lanes, [{"sale_id": name, "seq": seq}])


def seq_of(db: Database, name: str) -> Any:
    return db.read(lambda tx: tx.scalar(select(lanes.c.seq).where(lanes.c.sale_id == name)))


def test_work_that_fails_leaves_nothing_behind(db: Database) -> None:
    def work(tx: Tx) -> None:
        add_lane(tx, "a")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        db.run(work)
    assert seq_of(db, "a") is None


def test_a_transaction_has_one_time_and_it_is_the_databases(db: Database) -> None:
    def work(tx: Tx) -> tuple[datetime, datetime]:
        first = tx.now
        time.sleep(0.01)
        return first, tx.now

    first, second = db.run(work)
    assert first == second
    assert first.tzinfo is UTC
    assert abs(first - datetime.now(UTC)) < timedelta(seconds=2)
    assert first.microsecond % 1000 == 0


def test_a_moment_comes_back_as_it_was_stored(db: Database) -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
    row = {"operator_id": "o", "action": "x", "subject": "s", "detail": {"텍스트": [1, None]}, "at": moment}
    db.run(lambda tx: tx.insert(audit, [row]))
    found = db.read(lambda tx: tx.one(select(audit)))
    assert (found.at, found.detail) == (moment, {"텍스트": [1, None]})


def test_a_lost_race_is_run_again_and_the_second_time_sees_the_winner(db: Database) -> None:
    tries = []

    def work(tx: Tx) -> str:
        tries.append(tx)
        if len(tries) == 1:
            raise Contended("somebody was in the way")
        return "done"

    assert db.run(work) == "done"
    assert len(tries) == 2


def test_a_race_that_is_lost_again_and_again_ends_as_unavailable(db: Database) -> None:
    tries = []

    def work(tx: Tx) -> None:
        tries.append(tx)
        raise Contended("somebody is always in the way")

    with pytest.raises(Unavailable):
        db.run(work)
    assert 2 < len(tries) < 10
    tries.clear()
    with pytest.raises(Contended):
        db.run_once(work)
    assert len(tries) == 1


def test_a_duplicate_that_stays_is_the_callers_to_handle(db: Database) -> None:
    db.run(add_lane, "a")
    with pytest.raises(IntegrityError) as refused:
        db.run(add_lane, "a")
    assert is_duplicate(refused.value)


def test_two_transactions_in_each_others_way_both_end_well(db: Database) -> None:
    db.run(add_lane, "a")
    db.run(add_lane, "b")
    both_have_one = Barrier(2)
    met: set[str] = set()

    def work(tx: Tx, first: str, second: str) -> None:
        tx.execute(update(lanes).where(lanes.c.sale_id == first).values(seq=lanes.c.seq + 1))
        if tx.dialect != "sqlite" and first not in met:  # on SQLite the second one cannot even begin
            met.add(first)
            both_have_one.wait(timeout=5)
        tx.execute(update(lanes).where(lanes.c.sale_id == second).values(seq=lanes.c.seq + 1))

    def run(first: str, second: str) -> None:
        db.run(work, first, second)

    threads = [Thread(target=run, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (seq_of(db, "a"), seq_of(db, "b")) == (2, 2)


def test_a_reader_waits_for_no_writer(db: Database) -> None:
    db.run(add_lane, "a", 1)
    reading, written = Event(), Event()

    def write(tx: Tx) -> None:
        tx.execute(update(lanes).values(seq=2))
        reading.set()
        assert written.wait(5)

    writer = Thread(target=db.run, args=(write,))
    writer.start()
    assert reading.wait(5)
    assert seq_of(db, "a") == 1
    written.set()
    writer.join(5)
    assert seq_of(db, "a") == 2


def test_insert_missing_leaves_what_is_there_as_it_is(db: Database) -> None:
    db.run(add_lane, "a", 7)
    db.run(lambda tx: tx.insert_missing(lanes, [{"sale_id": name, "seq": 1} for name in ("a", "b")]))
    assert (seq_of(db, "a"), seq_of(db, "b")) == (7, 1)


@pytest.mark.parametrize("wild", ["한글", "é", "a'; DROP TABLE lanes; --", "\\", "%", "A", "x" * 500, "\x00"])
def test_an_id_from_outside_finds_nothing_and_breaks_nothing(db: Database, wild: str) -> None:
    db.run(add_lane, "a")
    assert seq_of(db, wild) is None
    assert db.read(lambda tx: tx.all(select(lanes.c.sale_id).where(lanes.c.sale_id.in_([wild, "a"])))) == [
        ("a",)
    ]


@pytest.mark.parametrize("unknown", ["SELECT no_such FROM lanes", "SELECT 1 FROM nowhere"])
def test_a_schema_of_another_version_is_an_outage_and_nobodys_fault(db: Database, unknown: str) -> None:
    with pytest.raises(Unavailable, match="another schema"):
        db.read(lambda tx: tx.scalar(text(unknown)))


def test_a_lane_that_does_not_exist_has_no_lock(db: Database) -> None:
    assert db.run(take_lane, "nothing") is None


def test_a_list_in_pages_shows_every_row_once_even_at_one_moment(db: Database) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"title": "x", "description": "", "price": 1, "currency": "KRW", "on_hand": 0}
    names = [f"p{number}" for number in range(7)]
    db.run(
        lambda tx: tx.insert(products, [{**row, "product_id": name, "created_at": moment} for name in names])
    )
    key = (products.c.created_at, products.c.product_id)
    shown: list[str] = []
    cursor = None
    while True:
        page = db.read(
            lambda tx, at=cursor: read_page(
                tx, select(products), key, at, 3, lambda rows: [row.product_id for row in rows]
            )
        )
        shown += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert shown == sorted(names, reverse=True)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "8J-YgA", "OX4", "LTF-YQ", "OTk5OTk5OTk5OTk5OTk5OTk5fmE", "한글"]
)
def test_a_cursor_that_is_none_of_ours_is_a_bad_field(db: Database, cursor: str) -> None:
    key = (products.c.created_at, products.c.product_id)
    with pytest.raises(InvalidFields) as refused:
        db.read(lambda tx: read_page(tx, select(products), key, cursor, 3, list))
    assert refused.value.faults == (FieldFault("cursor", "must be a next_cursor of this list"),)


@pytest.fixture
def own_server(mariadb_server: PrivateMariaDB) -> Iterator[Database]:
    database = Database(mariadb_server.create_database("firstcome_away"), wait_timeout_s=1, pool_size=1)
    yield database
    database.dispose()


# PyMySQL leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_database_that_is_away_is_named_at_once_and_found_again_without_a_restart(
    own_server: Database, mariadb_server: PrivateMariaDB
) -> None:
    own_server.check()
    mariadb_server.stop()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        own_server.check()
    assert time.monotonic() - began < 3
    mariadb_server.start()
    own_server.check()
    gc.collect()


def test_the_server_ends_a_silent_connection_and_the_next_transaction_does_not_notice(
    own_server: Database,
) -> None:
    own_server.check()
    mine = own_server.read(lambda tx: tx.scalar(text("SELECT CONNECTION_ID()")))
    watcher = Database(own_server.engine.url.render_as_string(hide_password=False))
    listed = text("SELECT COUNT(*) FROM information_schema.processlist WHERE id = :id")
    deadline = time.monotonic() + 5
    while watcher.read(lambda tx: tx.scalar(listed, {"id": mine})):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    own_server.check()
    watcher.dispose()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_database_that_hangs_is_named_soon_and_found_again_without_a_restart(
    own_server: Database, mariadb_server: PrivateMariaDB
) -> None:
    own_server.check()
    assert mariadb_server.process
    mariadb_server.process.send_signal(signal.SIGSTOP)
    stopped = psutil.Process(mariadb_server.process.pid)
    eventually(lambda: stopped.status() == psutil.STATUS_STOPPED, "the server has stopped")
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            own_server.check()
        assert time.monotonic() - began < 2 * GREETING_TIMEOUT_S + 1
    finally:
        mariadb_server.process.send_signal(signal.SIGCONT)
    own_server.check()
    gc.collect()


def test_a_statement_may_take_longer_than_a_greeting(own_server: Database) -> None:
    own_server.check()
    own_server.read(lambda tx: tx.scalar(text(f"SELECT SLEEP({GREETING_TIMEOUT_S + 0.5})")))
