"""Whoever has waited longest for a connection gets the next one, also when its last user wants it again at once."""

from __future__ import annotations

import threading

import pytest

from shop.errors import Unavailable
from shop.storage import database
from shop.storage.database import Database
from shop.storage.turns import Turns


def test_a_connection_goes_to_the_one_that_has_waited_longest(db: Database, database_url: str) -> None:
    single = Database(database_url, pool_size=1)
    served: list[str] = []

    def use(name: str) -> None:
        single.read(lambda _tx: served.append(name))

    def hold_twice(_tx: object) -> None:
        for number, name in enumerate(("second", "third"), 1):
            thread = threading.Thread(target=use, args=(name,))
            thread.start()
            waiters.append(thread)
            while single.turns.waiting < number:
                threading.Event().wait(0.001)
        served.append("first")

    waiters: list[threading.Thread] = []
    single.read(hold_twice)
    use("first again")
    for thread in waiters:
        thread.join(10)

    assert served == ["first", "second", "third", "first again"]
    single.dispose()


def test_who_gives_up_leaves_no_gap(monkeypatch: pytest.MonkeyPatch, db: Database, database_url: str) -> None:
    monkeypatch.setattr(database, "POOL_WAIT_S", 0.01)
    single = Database(database_url, pool_size=1)

    def while_taken(_tx: object) -> None:
        with pytest.raises(Unavailable):
            single.check()

    single.read(while_taken)
    single.check()
    single.dispose()


def test_a_place_is_free_again_for_each_that_leaves() -> None:
    turns = Turns(2)
    assert [turns.enter(0.01) for _ in range(3)] == [True, True, False]
    turns.leave()
    assert [turns.enter(0.01) for _ in range(2)] == [True, False]
