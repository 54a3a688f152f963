"""An operator is offered what will be done, and nothing that would be refused; a doubled act is done once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Row, func, select, update

from shop.errors import Refused
from shop.orders.cancel import cancel_for_buyer
from shop.orders.fulfil import GoodsAction, move_goods
from shop.orders.offers import CANCEL, RESEND, RETRY
from shop.orders.resend import resend_mail
from shop.orders.rules import OrderState
from shop.orders.story import read_story
from shop.orders.stuck import retry_order
from shop.payments.asked_refund import ACTION as REFUND
from shop.payments.asked_refund import RefundWish, ask_refund
from shop.payments.review import ReviewStep, settle_review
from shop.storage.database import Database, Tx
from shop.storage.tables import audit, orders, outbox, payments
from tests.till import TOTAL, VAULT, Till

WHY = "the buyer called"
ACTIONS = [REFUND, CANCEL, RETRY, RESEND, *GoodsAction, *ReviewStep]
Scene = Callable[[Till], str]


def reserved(till: Till) -> str:
    return till.order()


def paying(till: Till) -> str:
    till.open_attempt(order := till.order())
    return order


def suspended(till: Till) -> str:
    order = till.order()
    till.hear("succeeded", till.open_attempt(order), amount=TOTAL - 1)
    return order


def ended(state: OrderState) -> Scene:
    def scene(till: Till) -> str:
        till.end(order := till.order(), state)
        return order

    return scene


def late(till: Till) -> str:
    order = till.order()
    payment = till.open_attempt(order)
    till.end(order, OrderState.EXPIRED)
    till.hear("succeeded", payment)
    return order


def paid(till: Till, steps: int = 0) -> str:
    order = till.order()
    till.hear("succeeded", till.open_attempt(order))
    for action in (GoodsAction.FULFIL, GoodsAction.SHIP, GoodsAction.DELIVER)[:steps]:
        move_goods(till.db, VAULT, "op", order, action)
    return order


def sent(steps: int, state: OrderState | None = None) -> Scene:
    def scene(till: Till) -> str:
        order = paid(till, steps)
        if state is not None:
            till.set_state(order, state)
        return order

    return scene


def partly_back(till: Till) -> str:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("succeeded", payment)
    till.hear("refunded", payment, refunded=1_000)
    return order


def refunding(till: Till) -> str:
    do(till, REFUND, order := paid(till))
    return order


def to_review(till: Till) -> str:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("succeeded", payment)
    till.hear("refunded", payment, refunded=TOTAL + 1)
    return order


def money_gone(till: Till) -> str:
    order = paid(till, 1)
    payment = till.db.read(
        lambda tx: tx.scalar(select(payments.c.payment_id).where(payments.c.order_id == order))
    )
    till.hear("refunded", str(payment), refunded=TOTAL)
    return order


def given_up(till: Till) -> str:
    order = paid(till)
    mine = outbox.c.dedupe == f"mail:{order}:paid"
    dead = update(outbox).where(mine)
    till.db.run(lambda tx: tx.execute(dead.values(dead_at=tx.now, last_error="refused")) and None)
    return order


SCENES: dict[str, tuple[Scene, set[str]]] = {
    "reserved": (reserved, {RESEND, CANCEL}),
    "paying": (paying, {RESEND, CANCEL}),
    "suspended": (suspended, {ReviewStep.ACCEPT, ReviewStep.RETURN, RESEND}),
    "expired": (ended(OrderState.EXPIRED), {RESEND}),
    "cancelled": (ended(OrderState.CANCELLED), {RESEND}),
    "late": (late, {RESEND}),
    "paid": (paid, {REFUND, GoodsAction.FULFIL, RESEND}),
    "partly_back": (partly_back, {REFUND, GoodsAction.FULFIL, RESEND}),
    "fulfilling": (sent(1), {REFUND, GoodsAction.SHIP, RESEND}),
    "shipped": (sent(2), {REFUND, GoodsAction.DELIVER, RESEND}),
    "delivered": (sent(3), {REFUND, RESEND}),
    "return_requested": (
        sent(3, OrderState.RETURN_REQUESTED),
        {REFUND, GoodsAction.ACCEPT_RETURN, GoodsAction.REFUSE_RETURN},
    ),
    "returned": (sent(3, OrderState.RETURNED), {REFUND, RESEND}),
    "refunding": (refunding, set()),
    "to_review": (to_review, {ReviewStep.CLOSE, REFUND, GoodsAction.FULFIL, RESEND}),
    "money_gone": (money_gone, {ReviewStep.CLOSE, REFUND, GoodsAction.SHIP, RESEND}),
    "given_up": (given_up, {RETRY, REFUND, GoodsAction.FULFIL, RESEND}),
}


def do(till: Till, action: str, order: str) -> None:
    """Carry an act out as the desk does; of money all that may go."""
    match action:
        case "refund":
            left = read_story(till.db, order).refundable
            amount = left.left - 1 if left and not left.whole else None
            ask_refund(till.db, VAULT, "op", RefundWish(order, WHY, amount))
        case "cancel":
            cancel_for_buyer(till.db, VAULT, "op", order, WHY)
        case "retry":
            retry_order(till.db, "op", order, WHY)
        case "resend-mail":
            resend_mail(till.db, VAULT, "op", order, WHY)
        case _ if action in list(GoodsAction):
            move_goods(till.db, VAULT, "op", order, GoodsAction(action), WHY)
        case _:
            settle_review(till.db, VAULT, "op", order, ReviewStep(action), WHY)


def traces(till: Till, order: str) -> tuple[list[Row[Any]], int, int]:
    """Everything that an act leaves behind: order and payments, effects wanted, audit rows."""

    def read(tx: Tx) -> tuple[list[Row[Any]], int, int]:
        rows = [*tx.all(select(orders).where(orders.c.order_id == order))]
        rows += tx.all(select(payments).where(payments.c.order_id == order).order_by(payments.c.payment_id))
        wanted = select(func.count()).select_from(outbox).where(outbox.c.dead_at.is_(None))
        return rows, tx.scalar(wanted) or 0, tx.scalar(select(func.count()).select_from(audit)) or 0

    return till.db.read(read)


@pytest.fixture
def till(db: Database) -> Till:
    return Till(db).open()


@pytest.mark.parametrize("name", SCENES)
def test_what_is_offered_is_done_and_what_is_not_changes_nothing(till: Till, name: str) -> None:
    scene, expected = SCENES[name]
    for action in ACTIONS:
        order = scene(till)
        offered = read_story(till.db, order).offers
        assert set(offered) == expected
        before = traces(till, order)
        try:
            do(till, action, order)
        except Refused:
            assert action not in offered
        assert (traces(till, order) != before) is (action in offered), action


@pytest.mark.parametrize(
    ("name", "action"), [("reserved", CANCEL), ("paying", CANCEL), ("paid", RESEND), ("paid", "fulfil")]
)
def test_an_act_that_comes_twice_is_done_once(till: Till, name: str, action: str) -> None:
    order = SCENES[name][0](till)
    do(till, action, order)
    after = traces(till, order)
    do(till, action, order)
    assert traces(till, order) == after


def test_a_part_that_is_back_is_told_by_letter_once(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("succeeded", payment)
    for _ in range(2):
        till.hear("refunded", payment, refunded=1_000)
    till.hear("refunded", payment, refunded=1_500)
    name = f"mail:{payment}:partly-"
    told = select(outbox.c.dedupe).where(outbox.c.dedupe.like(name + "%")).order_by(outbox.c.outbox_id)
    assert till.db.read(lambda tx: list(tx.scalars(told))) == [f"{name}1000", f"{name}1500"]
