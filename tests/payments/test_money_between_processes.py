"""L7 between processes: starting and cancelling over HTTP at two gateways, and news that race each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import Connection, event, text

from firstcome import wiring
from firstcome.settings import Settings
from shop.accounts.signup import create_verified_account
from shop.mail.effects import deliver_due
from shop.orders.expire import expire_due
from tests.payments.gateways import Gateway, assert_problem, inbox
from tests.payments.simulator_process import Simulator, press
from tests.running import eventually
from tests.till import UNITS, Till
from workers.runtime import Runtime

Pair = tuple[Gateway, Gateway]
PASSWORD = "a-password-for-tests"


# ---------------------------------------------------------------- a buyer who speaks JSON to both gateways


@dataclass
class Buyer:
    """Somebody who has signed in; `till.buyer` is their account."""

    till: Till
    token: str

    def pay(self, gateway: Gateway, order: str, key: str, **body: str) -> httpx.Response:
        """Start the payment of an order."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        return gateway.client.post(f"/api/v1/orders/{order}/payment", headers=headers, json=body)

    def cancel(self, gateway: Gateway, order: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return gateway.client.post(f"/api/v1/orders/{order}/cancel", headers=headers)


@pytest.fixture
def buyer(counter: Till, gateways: Pair, shop_settings: Settings, redis_sync: redis.Redis) -> Buyer:
    email = "minji@example.test"
    counter.buyer = create_verified_account(
        counter.db, wiring.account_kit(shop_settings), email, PASSWORD, "Kim Minji"
    )
    answer = gateways[0].client.post("/api/v1/sessions", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return Buyer(counter, answer.json()["access_token"])


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Do these at the same moment; what they gave back."""
    gate = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(one, calls))


# ---------------------------------------------------------------- starting and cancelling


def test_a_start_is_one_payment_whichever_gateway_is_asked(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    one, two = gateways
    order = counter.order(hold_s=20)
    first = buyer.pay(one, order, "key-a")
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    until = datetime.fromisoformat(first.json()["expires_at"])
    assert (until - datetime.now(UTC)).total_seconds() > 160, "a buyer has three minutes"

    again = buyer.pay(two, order, "key-a")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other_key = buyer.pay(two, order, "key-b")
    assert (other_key.status_code, other_key.content) == (201, first.content)
    assert "idempotent-replayed" not in other_key.headers
    assert_problem(buyer.pay(two, order, "key-a", provider="simulator"), 422, "idempotency_key_reused")

    press(first.json()["checkout_url"], "decline")
    one.tell(counter.event("failed", first.json()["payment_id"]), "evt-1")
    second = buyer.pay(two, order, "key-c")
    assert second.json()["payment_id"] != first.json()["payment_id"]
    assert second.json()["expires_at"] == first.json()["expires_at"], "the hold is lengthened once"
    counter.hear("succeeded", second.json()["payment_id"])
    body = assert_problem(buyer.pay(one, order, "key-d"), 409, "illegal_move")
    assert (body["current"], body["wanted"]) == ("paid", "paying")


def test_a_crowd_of_starts_at_both_gateways_opens_one_payment(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    order = counter.order()
    calls = [partial(buyer.pay, gateways[number % 2], order, f"key-{number}") for number in range(6)]
    answers = together(*calls)
    opened = {answer.json()["payment_id"] for answer in answers if answer.status_code == 201}
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, 409, "still_running")
            assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert len(opened) == 1
    assert counter.states(order) == ("paying", ["pending"])


def test_a_provider_that_answers_late_or_is_dead_is_waited_for_under_the_same_key(
    buyer: Buyer, counter: Till, gateways: Pair, simulator: Simulator
) -> None:
    order = counter.order()
    with simulator.frozen(), ThreadPoolExecutor(1) as threads:
        slow = threads.submit(buyer.pay, gateways[0], order, "key-a")
        eventually(lambda: counter.states(order)[1] == ["created"], "the attempt is committed")
        assert_problem(buyer.pay(gateways[1], order, "key-a"), 409, "still_running")
        assert_problem(slow.result(), 503, "provider_unavailable")
    simulator.kill()
    assert_problem(buyer.pay(gateways[1], order, "key-a"), 503, "provider_unavailable")
    assert counter.states(order) == ("paying", ["created"])
    simulator.start()
    started = buyer.pay(gateways[1], order, "key-a")
    assert started.status_code == 201, started.text
    assert counter.states(order) == ("paying", ["pending"])
    press(started.json()["checkout_url"], "approve")
    answer = gateways[0].tell(counter.event("succeeded", started.json()["payment_id"]), "evt")
    assert answer.json() == {"verdict": "paid"}
    counter.assert_money_and_stock_agree()


@pytest.mark.parametrize(
    ("choice", "ends", "late"),
    [("none", ("cancelled", ["cancelled"]), "refund_due"), ("silent", ("paid", ["succeeded"]), "repeated")],
)
def test_cancelling_a_paying_order_is_accepted_and_the_provider_has_the_word(
    buyer: Buyer, counter: Till, gateways: Pair, work: Runtime, choice: str, ends: Any, late: str
) -> None:
    one, two = gateways
    order = counter.order()
    started = buyer.pay(one, order, "key-a").json()
    if choice != "none":
        press(started["checkout_url"], choice)
    for gateway in gateways:  # asked twice, it is one wish
        asked = buyer.cancel(gateway, order)
        assert (asked.status_code, asked.json()["state"]) == (202, "paying")
    deliver_due(work.db, work.vault, {"cancel": work.effects["cancel"]})
    assert counter.states(order) == ends
    assert two.tell(counter.event("succeeded", started["payment_id"]), "evt").json() == {"verdict": late}
    assert counter.refunds() == ([started["payment_id"]] if late == "refund_due" else [])
    counter.assert_money_and_stock_agree()


# ---------------------------------------------------------------- at the same time


def test_one_event_at_two_gateways_at_once_counts_once(counter: Till, gateways: Pair) -> None:
    bodies = [counter.event("succeeded", counter.open_attempt(counter.order())) for _ in range(6)]
    for number, body in enumerate(bodies):
        answers = together(*(partial(one.tell, body, f"race-{number}") for one in gateways * 2))
        assert [answer.status_code for answer in answers] == [200] * 4
        verdicts = sorted(answer.json()["verdict"] for answer in answers)
        assert verdicts == ["paid", "repeated", "repeated", "repeated"]
    assert counter.stock() == (0, UNITS * len(bodies))
    assert len(inbox(counter.db)) == len(bodies)
    counter.assert_money_and_stock_agree()


def test_news_that_contradict_each_other_at_two_gateways_agree_on_the_money(
    counter: Till, gateways: Pair
) -> None:
    for number in range(6):
        order = counter.order()
        payment = counter.open_attempt(order)
        if number % 2:
            counter.let_hold_run_out(order)
        good, bad = (counter.event(kind, payment) for kind in ("succeeded", "failed"))
        one, two = gateways if number % 4 < 2 else gateways[::-1]
        answers = together(
            partial(one.tell, good, f"good-{payment}"),
            partial(two.tell, bad, f"bad-{payment}"),
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        assert (
            counter.states(order) in [("paid", ["succeeded"]), ("expired", ["succeeded"])][: 1 + number % 2]
        )
    counter.assert_money_and_stock_agree()


def test_a_callback_and_the_sweep_at_once_pay_the_order_once(
    buyer: Buyer, counter: Till, gateways: Pair, work: Runtime
) -> None:
    for number in range(4):
        order = counter.order()
        started = buyer.pay(gateways[0], order, f"key-{number}").json()
        press(started["checkout_url"], "silent")
        counter.let_hold_run_out(order)
        body = counter.event("succeeded", started["payment_id"])
        swept, answer = together(
            partial(expire_due, work.db, work.vault, work.providers),
            partial(gateways[number % 2].tell, body, f"race-{number}"),
        )
        assert (len(swept.ended), answer.json()["verdict"]) in [(1, "repeated"), (0, "paid")]
        assert counter.states(order) == ("paid", ["succeeded"])
    counter.assert_money_and_stock_agree()


def test_a_callback_and_a_cancel_at_once_give_the_goods_or_the_money(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    for number in range(6):
        order = counter.order()
        payment = counter.open_attempt(order)
        counter.hear("failed", payment)
        body = counter.event("succeeded", payment)
        told, asked = together(
            partial(gateways[number % 2].tell, body, f"race-{number}"),
            partial(buyer.cancel, gateways[1 - number % 2], order),
        )
        ends = (told.json()["verdict"], asked.status_code, counter.states(order))
        assert ends in [
            ("paid", 409, ("paid", ["succeeded"])),
            ("refund_due", 200, ("cancelled", ["refund_pending"])),
        ]
    counter.assert_money_and_stock_agree()


def test_a_callback_and_a_second_attempt_at_once_keep_one_payment(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    for number in range(4):
        order = counter.order()
        first = counter.open_attempt(order)
        counter.hear("failed", first)
        body = counter.event("succeeded", first)
        told, started = together(
            partial(gateways[number % 2].tell, body, f"race-{number}"),
            partial(buyer.pay, gateways[1 - number % 2], order, f"key-{number}"),
        )
        assert told.json() == {"verdict": "paid"}
        assert counter.order_row(order).state == "paid"
        if started.status_code == 201:
            second = started.json()["payment_id"]
            answer = gateways[0].tell(counter.event("succeeded", second), f"second-{number}")
            assert answer.json() == {"verdict": "refund_due"}
            assert counter.refunds()[-1] == second
        else:
            assert_problem(started, 409, "illegal_move")
    counter.assert_money_and_stock_agree()


def test_parts_given_back_at_once_never_count_backwards(counter: Till, gateways: Pair) -> None:
    """The payment's state stays the same, so that only the order's lock keeps the older news from overwriting the newer."""
    payment = counter.open_attempt(counter.order())
    counter.hear("succeeded", payment)
    counter.hear("refunded", payment, refunded=1_000)
    older = counter.event("refunded", payment, refunded=2_000)
    with ThreadPoolExecutor(1) as threads:
        told: list[Future[httpx.Response]] = []

        def tell_the_older(_connection: Connection) -> None:
            told.append(threads.submit(gateways[0].tell, older, "older"))
            eventually(partial(a_lock_is_waited_for, counter), "the older news waits for the newer")

        event.listen(counter.db.engine, "commit", tell_the_older, once=True)
        assert counter.hear("refunded", payment, refunded=3_000) == "partially_refunded"
        assert told[0].result().json() == {"verdict": "repeated"}
    assert counter.payment(payment).refunded == 3_000


def a_lock_is_waited_for(till: Till) -> bool:
    """Whether a transaction waits for a row that another one has locked."""
    waiting = text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
    return till.db.read(lambda tx: tx.one(waiting))[1] != "0"
