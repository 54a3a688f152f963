"""Effects outside the database: at least once, normally once, and nothing is lost when a process dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from shop.accounts.kit import AccountKit
from shop.mail.effects import FIRST_WAIT_S, LONGEST_WAIT_S, due_kinds, stuck, try_again, wait_s
from shop.mail.letters import Occasion, order_letter
from shop.mail.outbox import EffectFailed, Request, deliver_due, put_effects, put_mail
from shop.mail.sink import read_sink
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, outbox
from tests.accounts.people import EMAIL, PostOffice, age, registered
from tests.running import eventually

LATER = timedelta(hours=2)
SHORT = timedelta(seconds=2)


def want(db: Database, kit: AccountKit, *names: str) -> None:
    """Put effects of the kind `refund` into the outbox."""
    db.run(put_effects, kit.vault, [Request("refund", name, {"payment_id": name}) for name in names])


def time_passes(db: Database) -> None:
    """Every waiting time and lease is over."""
    age(db, outbox, LATER, outbox.c.due_at, outbox.c.lease_until)


def test_an_effect_that_is_wanted_twice_happens_once(db: Database, kit: AccountKit) -> None:
    done: list[Any] = []
    want(db, kit, "a")
    want(db, kit, "a", "b")
    assert deliver_due(db, kit.vault, {"refund": done.append}) == 2
    assert deliver_due(db, kit.vault, {"refund": done.append}) == 0
    assert done == [{"payment_id": "a"}, {"payment_id": "b"}]


def test_an_effect_of_a_change_that_is_rolled_back_never_happens(db: Database, kit: AccountKit) -> None:
    def change(tx: Tx) -> None:
        put_effects(tx, kit.vault, [Request("refund", "a", {})])
        raise KeyError

    with pytest.raises(KeyError):
        db.run(change)
    assert db.read(due_kinds) == set()


def test_many_processes_at_once_carry_out_each_effect_once(db: Database, kit: AccountKit) -> None:
    want(db, kit, *(str(number) for number in range(20)))
    done: list[str] = []

    def slow(payload: dict[str, Any]) -> None:
        done.append(payload["payment_id"])
        time.sleep(0.01)  # a provider takes its time, so that the others come by while it is under way

    def work(_: int) -> int:
        return deliver_due(db, kit.vault, {"refund": slow})

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(work, range(4))) == 20
    assert sorted(done, key=int) == [str(number) for number in range(20)]


def test_when_a_process_is_killed_in_the_middle_another_one_does_it_after_the_lease(
    db: Database, database_url: str, kit: AccountKit, post: PostOffice
) -> None:
    registered(db, kit, post)
    before = len(post.mails())
    letter = order_letter(Occasion.ORDER_PAID, account_of(db), order_id="o" * 22, sale_title="A sale")
    db.run(put_mail, kit.vault, letter, "o:paid")
    db.dispose()

    child = os.fork()
    if child == 0:
        deliver_due(
            Database(database_url),
            kit.vault,
            {"mail": lambda _: os.kill(os.getpid(), signal.SIGKILL)},
        )
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    age(db, outbox, LATER, outbox.c.due_at)
    assert post.deliver() == 0, "the lease still holds"
    age(db, outbox, LATER, outbox.c.lease_until)
    assert post.deliver() == 1
    assert post.deliver() == 0
    assert len(read_sink(post.folder)) == before + 1


def account_of(db: Database) -> str:
    """The only account there is."""
    account_id: str = db.read(lambda tx: tx.scalar(select(accounts.c.account_id)))
    return account_id


def test_what_fails_is_tried_again_ever_later_and_then_kept_for_an_operator(
    db: Database, kit: AccountKit
) -> None:
    tries: list[Any] = []

    def fails(payload: dict[str, Any]) -> None:
        tries.append(payload)
        raise EffectFailed("provider answers 503")

    want(db, kit, "a")
    for count in range(1, 4):
        assert deliver_due(db, kit.vault, {"refund": fails}, attempts=3) == 0
        assert deliver_due(db, kit.vault, {"refund": fails}, attempts=3) == 0, "not due yet"
        assert len(tries) == count
        time_passes(db)
    deliver_due(db, kit.vault, {"refund": fails}, attempts=3)
    assert len(tries) == 3

    (given_up,) = db.read(stuck)
    assert (given_up.kind, given_up.attempts, given_up.last_error) == ("refund", 3, "provider answers 503")
    assert db.run(try_again, given_up.outbox_id)
    assert not db.run(try_again, given_up.outbox_id)
    assert deliver_due(db, kit.vault, {"refund": tries.append}) == 1


def test_what_can_never_succeed_is_given_up_at_once(db: Database, kit: AccountKit) -> None:
    def refused(_: dict[str, Any]) -> None:
        raise EffectFailed("recipient refused [550]", permanent=True)

    want(db, kit, "a")
    deliver_due(db, kit.vault, {"refund": refused})
    assert [effect.last_error for effect in db.read(stuck)] == ["recipient refused [550]"]


def test_an_effect_that_kills_its_process_every_time_is_given_up_too(db: Database, kit: AccountKit) -> None:
    class Killed(BaseException):
        pass

    def kills(_: dict[str, Any]) -> None:
        raise Killed

    want(db, kit, "a")
    for _ in range(2):
        with pytest.raises(Killed):
            deliver_due(db, kit.vault, {"refund": kills}, attempts=2)
        time_passes(db)
    deliver_due(db, kit.vault, {"refund": kills}, attempts=2)
    assert [effect.kind for effect in db.read(stuck)] == ["refund"]


def test_one_faulty_effect_does_not_hold_up_the_others(db: Database, kit: AccountKit) -> None:
    done: list[str] = []

    def effect(payload: dict[str, Any]) -> None:
        if payload["payment_id"] == "a":
            raise ValueError(EMAIL)
        done.append(payload["payment_id"])

    want(db, kit, "a", "b")
    assert deliver_due(db, kit.vault, {"refund": effect}) == 1
    assert done == ["b"]
    assert db.read(lambda tx: tx.scalars(select(outbox.c.last_error))) == ["ValueError", None]


def test_a_late_failure_does_not_disturb_whoever_has_it_now(db: Database, kit: AccountKit) -> None:
    want(db, kit, "a")

    def overtaken(_: dict[str, Any]) -> None:
        time_passes(db)
        deliver_due(db, kit.vault, {"refund": lambda _: None})
        raise EffectFailed("too slow")

    deliver_due(db, kit.vault, {"refund": overtaken})
    row = db.read(lambda tx: tx.one(select(outbox)))
    assert row.done_at is not None
    assert row.last_error is None


def test_a_late_failure_leaves_the_lease_to_whoever_works_on_it_now(db: Database, kit: AccountKit) -> None:
    want(db, kit, "a")
    leases = []

    def first(_: dict[str, Any]) -> None:
        time_passes(db)
        with pytest.raises(KeyboardInterrupt):  # the other one is still at it when the first one fails
            deliver_due(db, kit.vault, {"refund": second})
        raise EffectFailed("too slow")

    def second(_: dict[str, Any]) -> None:
        leases.append(lease_of(db))
        raise KeyboardInterrupt

    deliver_due(db, kit.vault, {"refund": first})
    assert leases == [lease_of(db)]
    assert db.read(lambda tx: tx.scalar(select(outbox.c.last_error))) is None


def lease_of(db: Database) -> Any:
    """The end of the only effect's lease."""
    return db.read(lambda tx: tx.scalar(select(outbox.c.lease_until)))


def test_who_is_slow_and_alive_keeps_the_effect(db: Database, kit: AccountKit) -> None:
    want(db, kit, "a")
    others: list[int] = []

    def slow(_: dict[str, Any]) -> None:
        first = lease_of(db)
        eventually(lambda: lease_of(db) > first + SHORT / 3, "the lease was renewed again and again")
        age(db, outbox, LATER, outbox.c.due_at)
        others.append(deliver_due(db, kit.vault, {"refund": lambda _: None}, lease=SHORT))

    assert deliver_due(db, kit.vault, {"refund": slow}, lease=SHORT) == 1
    assert others == [0]


def test_who_has_lost_the_effect_does_not_take_it_back(db: Database, kit: AccountKit) -> None:
    want(db, kit, "a")
    renewing: list[bool] = []

    def done_by_another(_: dict[str, Any]) -> None:
        time_passes(db)
        deliver_due(db, kit.vault, {"refund": lambda _: None})
        [mine] = [thread for thread in threading.enumerate() if thread.name == "lease"]
        mine.join(10)
        renewing.append(mine.is_alive())

    deliver_due(db, kit.vault, {"refund": done_by_another}, lease=SHORT)
    assert renewing == [False]
    assert lease_of(db) is None


def test_only_kinds_that_somebody_can_carry_out_are_claimed(db: Database, kit: AccountKit) -> None:
    want(db, kit, "a")
    assert deliver_due(db, kit.vault, {}) == 0
    assert db.read(due_kinds) == {"refund"}


def test_nothing_of_a_delivered_effect_is_kept(db: Database, kit: AccountKit) -> None:
    want(db, kit, "a")
    deliver_due(db, kit.vault, {"refund": lambda _: None})
    assert db.read(lambda tx: tx.scalars(select(outbox.c.payload_sealed))) == [b""]


def test_waiting_times_double_up_to_an_hour() -> None:
    assert [wait_s(attempts, 1.0) for attempts in (1, 2, 3)] == [
        FIRST_WAIT_S,
        2 * FIRST_WAIT_S,
        4 * FIRST_WAIT_S,
    ]
    assert wait_s(50, 1.0) == LONGEST_WAIT_S
    assert wait_s(50, 0.0) == LONGEST_WAIT_S / 2


def test_the_sink_shows_the_newest_mail_first_with_its_links(post: PostOffice, tmp_path: Path) -> None:
    assert read_sink(tmp_path / "nowhere") == []
    registered(post.db, post.kit, post)
    registered(post.db, post.kit, post, "other@mail.example.com")
    newest, oldest = post.mails()
    assert (newest["to"], oldest["to"]) == ("other@mail.example.com", EMAIL)
    assert len(oldest["links"]) == 1
    assert oldest["links"][0].startswith(f"https://sale.example.com/verify#email={EMAIL}&code=")
