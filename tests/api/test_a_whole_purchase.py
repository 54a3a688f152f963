"""One sale on real parts, from joining the line to the paid order, through every process of the product."""

from __future__ import annotations

import json

from tests.running import RunningDemo, eventually


def test_a_program_buys_through_the_waiting_room_and_ends_at_paid(demo: RunningDemo) -> None:
    buyer = demo.buyer(1)
    sale = buyer.client.get("/api/v1/sales/demo").json()
    product = sale["items"][0]["product_id"]

    place = buyer.join("demo")
    assert place["state"] in ("waiting", "called")
    assert place["number"] >= 1

    buyer.await_call("demo")
    admission = buyer.claim("demo")
    assert buyer.claim("demo") == admission, "a retried claim gives the same bytes"

    accepted = buyer.order("demo", admission, {product: 1})
    assert accepted["state"] == "queued"
    reserved = buyer.await_order(accepted["order_id"], "reserved")
    assert reserved["seq"] >= 1
    assert reserved["hold_expires_at"]

    buyer.pay(accepted["order_id"])
    paid = buyer.await_order(accepted["order_id"], "paid")
    assert paid["total"] == sale["items"][0]["price"]
    eventually(lambda: buyer.ticket("demo")["state"] == "done" or None, "the next tick freed the slot", 5)


def test_a_declined_payment_can_be_tried_again_while_the_hold_stands(demo: RunningDemo) -> None:
    buyer = demo.buyer(2)
    product = buyer.client.get("/api/v1/sales/demo").json()["items"][0]["product_id"]
    buyer.join("demo")
    buyer.await_call("demo")
    order_id = buyer.order("demo", buyer.claim("demo"), {product: 1})["order_id"]
    buyer.await_order(order_id, "reserved")

    first = buyer.pay(order_id, "decline")
    buyer.await_order(order_id, "reserved")
    second = buyer.pay(order_id)
    assert second["payment_id"] != first["payment_id"]
    buyer.await_order(order_id, "paid")


def test_an_operator_watches_the_books_add_up(demo: RunningDemo) -> None:
    demo.buyer(3).buy("demo", {_first_product(demo): 1})
    checked = demo.verb("reconcile")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_confirmation_mail_reaches_the_sink(demo: RunningDemo) -> None:
    buyer = demo.buyer(4)
    order = buyer.buy("demo", {_first_product(demo): 1})

    def letter() -> bool | None:
        mails = json.loads(buyer.client.get("/demo/mail.json").text)
        mine = [mail["text"] for mail in mails if mail["to"] == "buyer4@example.test"]
        return any(order["order_id"] in text for text in mine) or None

    eventually(letter, "the letter about the paid order arrived", 10)


def _first_product(demo: RunningDemo) -> str:
    with demo.operator() as client:
        return str(client.get("/api/v1/sales/demo").json()["items"][0]["product_id"])
