"""L7 at the gateway's door: every row of the table of callbacks over HTTP, told again to another gateway, and whatever strangers send."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from shop.orders.rules import OrderState
from shop.payments.webhooks import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, read_secrets, sign
from shop.storage.tables import sale_items
from tests.payments.conftest import NEW_SECRET
from tests.payments.gateways import Gateway, assert_problem, books, inbox
from tests.till import SECRET, TOTAL, UNITS, Till

Pair = tuple[Gateway, Gateway]
Before = Callable[[Till], str]

# ---------------------------------------------------------------- the table


def begun(till: Till) -> str:
    """An attempt that no provider has answered yet; the payment."""
    return till.begin(till.order())


def opened(till: Till) -> str:
    """An attempt that waits for the buyer."""
    return till.open_attempt(till.order())


def after(*kinds: str, end: OrderState | None = None, **data: Any) -> Before:
    """An attempt of which this was heard, and whose order has then ended."""

    def lay(till: Till) -> str:
        payment = opened(till)
        for kind in kinds:
            till.hear(kind, payment, **data)
        if end is not None:
            till.end(till.payment(payment).order_id, end)
        return payment

    return lay


def hold_over(till: Till) -> str:
    payment = opened(till)
    till.let_hold_run_out(till.payment(payment).order_id)
    return payment


def second_attempt(till: Till) -> str:
    """Of two attempts of an order the other one was paid."""
    order = till.order()
    first = till.open_attempt(order)
    till.hear("failed", first)
    second = till.open_attempt(order)
    till.hear("succeeded", second)
    return first


def on_its_way(till: Till) -> str:
    """The goods of a paid order are being packed."""
    payment = after("succeeded")(till)
    till.set_state(till.payment(payment).order_id, OrderState.FULFILLING)
    return payment


@dataclass(frozen=True)
class Row:
    """What has happened, what arrives, and what is then true: verdict, order, payment, units held and sold, reason of a review."""

    before: Before
    kind: str
    verdict: str
    order: str
    payment: str
    units: tuple[int, int]
    refund_due: bool = False
    review: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


HELD, SOLD, FREE = (UNITS, 0), (0, UNITS), (0, 0)
MISMATCH = "amount_mismatch"
TABLE = {
    "success": Row(opened, "succeeded", "paid", "paid", "succeeded", SOLD),
    "success before the start was answered": Row(begun, "succeeded", "paid", "paid", "succeeded", SOLD),
    "failure, time left": Row(opened, "failed", "failed", "reserved", "failed", HELD),
    "failure, hold over": Row(hold_over, "failed", "failed", "expired", "failed", FREE),
    "pending": Row(begun, "pending", "pending", "paying", "pending", HELD),
    "failure after success": Row(after("succeeded"), "failed", "stale", "paid", "succeeded", SOLD),
    "pending after success": Row(after("succeeded"), "pending", "stale", "paid", "succeeded", SOLD),
    "success after failure": Row(after("failed"), "succeeded", "paid", "paid", "succeeded", SOLD),
    "less money": Row(
        *(
            opened,
            "succeeded",
            "suspended",
            "paying",
            "suspense",
            HELD,
            False,
            MISMATCH,
            {"amount": TOTAL - 1},
        )
    ),
    "more money": Row(
        *(
            opened,
            "succeeded",
            "suspended",
            "paying",
            "suspense",
            HELD,
            False,
            MISMATCH,
            {"amount": TOTAL + 1},
        )
    ),
    "other currency": Row(
        *(opened, "succeeded", "suspended", "paying", "suspense", HELD),
        review="currency_mismatch",
        data={"currency": "USD"},
    ),
    "success after expiry": Row(
        after("failed", end=OrderState.EXPIRED), "succeeded", "late", "expired", "succeeded", FREE
    ),
    "success after cancel": Row(
        *(after("cancelled", end=OrderState.CANCELLED), "succeeded", "refund_due", "cancelled"),
        *("refund_pending", FREE, True),
    ),
    "a second paid attempt": Row(
        second_attempt, "succeeded", "refund_due", "paid", "refund_pending", SOLD, True
    ),
    "a part refunded": Row(
        *(after("succeeded"), "refunded", "partially_refunded", "paid", "partially_refunded", SOLD),
        data={"refunded": 1_000},
    ),
    "all refunded": Row(
        *(after("succeeded"), "refunded", "refunded", "refunded", "refunded", FREE), data={"refunded": TOTAL}
    ),
    "refunded from outside while goods go out": Row(
        *(on_its_way, "refunded", "review", "fulfilling", "refunded", SOLD, False, "refund_outside"),
        {"refunded": TOTAL},
    ),
    "refunded above what was paid": Row(
        *(after("succeeded"), "refunded", "review", "paid", "succeeded", SOLD, False, "refund_above_paid"),
        {"refunded": TOTAL + 1},
    ),
    "refund of an unpaid order": Row(
        *(opened, "refunded", "review", "paying", "pending", HELD, False, "refund_of_unpaid"),
        {"refunded": TOTAL},
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_row_of_the_table_holds_and_holds_when_told_again(
    counter: Till, gateways: Pair, name: str
) -> None:
    one, two = gateways
    row = TABLE[name]
    payment = row.before(counter)
    before = inbox(counter.db)
    body = counter.event(row.kind, payment, **row.data)

    answer = one.tell(body, "evt")

    assert (answer.status_code, answer.json()) == (200, {"verdict": row.verdict})
    settled = counter.payment(payment)
    order = counter.order_row(settled.order_id)
    assert (order.state, settled.state, counter.stock()) == (row.order, row.payment, row.units)
    assert order.review_reason == row.review
    assert counter.refunds() == ([payment] if row.refund_due else [])
    assert inbox(counter.db) == [*before, ("evt", row.verdict)]
    if row.review is None:
        counter.assert_money_and_stock_agree()

    kept = books(counter.db)
    for gateway in (two, one):
        again = gateway.tell(body, "evt")
        assert (again.status_code, again.json()) == (200, {"verdict": "repeated"})
    assert inbox(counter.db) == [*before, ("evt", row.verdict)]
    same_fact = two.tell(body, "evt-of-another-id")
    assert same_fact.status_code == 200
    assert inbox(counter.db)[-1] == ("evt-of-another-id", same_fact.json()["verdict"])
    assert books(counter.db) == kept


def test_parts_that_come_back_sum_up_and_the_last_one_frees_the_units(counter: Till, gateways: Pair) -> None:
    payment = after("succeeded")(counter)
    for number, (back, verdict) in enumerate(
        [(TOTAL - 1, "partially_refunded"), (1, "repeated"), (TOTAL, "refunded"), (TOTAL - 1, "repeated")]
    ):
        answer = gateways[number % 2].tell(counter.event("refunded", payment, refunded=back), f"evt-{number}")
        assert answer.json() == {"verdict": verdict}
    assert counter.payment(payment).refunded == TOTAL
    assert counter.stock() == FREE
    counter.assert_money_and_stock_agree()


def test_what_is_genuine_and_means_nothing_here_is_recorded(counter: Till, gateways: Pair) -> None:
    payment = opened(counter)
    kept = books(counter.db)
    odd = json.dumps({"type": "payout.created", "data": {"글": "돈 😀"}}).encode()
    for gateway, verdict in zip(gateways, ("recorded", "repeated"), strict=True):
        assert gateway.tell(odd, "evt-odd").json() == {"verdict": verdict}
    strange = counter.event("succeeded", "nobody-knows-me")
    for gateway in gateways:
        answer = gateway.tell(strange, "evt-strange")
        assert (answer.status_code, answer.json()) == (202, {"verdict": "unknown_payment"})
    assert inbox(counter.db) == [("evt-odd", "recorded"), ("evt-strange", "unknown_payment")]
    assert books(counter.db) == kept
    assert gateways[0].tell(counter.event("succeeded", payment), "evt-odd-2").json() == {"verdict": "paid"}


def test_a_row_that_somebody_holds_is_said_so_and_the_callback_works_when_sent_again(
    counter: Till, gateways: Pair
) -> None:
    payment = opened(counter)
    body = counter.event("succeeded", payment)
    this = sale_items.c.sale_item_id == counter.item
    counter.db.run(lambda tx: tx.execute(update(sale_items).where(this).values(held=0)) and None)
    kept = books(counter.db)
    assert_problem(gateways[0].tell(body, "evt"), 503, "unavailable")
    assert (books(counter.db), inbox(counter.db)) == (kept, [])
    counter.db.run(lambda tx: tx.execute(update(sale_items).where(this).values(held=UNITS)) and None)
    assert gateways[1].tell(body, "evt").json() == {"verdict": "paid"}
    counter.assert_money_and_stock_agree()


# ---------------------------------------------------------------- whose word it is


def test_old_and_new_secret_are_good_while_one_is_replaced_and_no_other(
    counter: Till, gateways: Pair
) -> None:
    one, two = gateways
    body = counter.event("failed", opened(counter))
    stranger = "whsec_" + "QUJD" * 11
    assert_problem(one.tell(body, "evt-1", stranger), 401, "bad_signature")
    assert one.tell(body, "evt-1", SECRET).json() == {"verdict": "failed"}
    assert two.tell(body, "evt-1", NEW_SECRET).json() == {"verdict": "repeated"}
    assert two.tell(body, "evt-1", stranger, NEW_SECRET, SECRET).json() == {"verdict": "repeated"}
    crowd = sign("evt-1", int(time.time()), body, read_secrets([SECRET]))
    crowd[SIGNATURE_HEADER] = " ".join(["v2,abc", "v1,", *["v1,AAAA"] * 13, crowd[SIGNATURE_HEADER]])
    assert one.post(body, crowd).json() == {"verdict": "repeated"}
    crowd[SIGNATURE_HEADER] = "v1,AAAA " + crowd[SIGNATURE_HEADER]
    assert_problem(one.post(body, crowd), 401, "bad_signature")


@pytest.mark.parametrize("shift_s", [-330, -270, 270, 330])
def test_a_callback_is_good_for_five_minutes_and_no_longer(
    counter: Till, gateways: Pair, shift_s: int
) -> None:
    body = counter.event("succeeded", opened(counter))
    answer = gateways[0].tell(body, "evt", at_s=int(time.time()) + shift_s)
    if abs(shift_s) < 300:
        assert answer.json() == {"verdict": "paid"}
    else:
        assert_problem(answer, 401, "bad_signature")
        assert inbox(counter.db) == []


def test_a_body_beyond_the_limit_is_too_large_however_it_is_sent(counter: Till, gateways: Pair) -> None:
    payment = opened(counter)
    kept = books(counter.db)
    body = counter.event("succeeded", payment, filler="x" * 16_384)
    assert_problem(gateways[0].tell(body, "evt"), 413, "too_large")

    def pieces() -> Iterator[bytes]:
        yield from (body[start : start + 1_000] for start in range(0, len(body), 1_000))

    headers = sign("evt", int(time.time()), body, read_secrets([SECRET]))
    assert_problem(gateways[0].post(pieces(), headers), 413, "too_large")
    assert (books(counter.db), inbox(counter.db)) == (kept, [])
    empty = counter.event("succeeded", payment, filler="")
    just = counter.event("succeeded", payment, filler="x" * (16_384 - len(empty)))
    assert gateways[0].tell(just, "evt").json() == {"verdict": "paid"}


# ---------------------------------------------------------------- whatever strangers send

NUMBERS = st.one_of(
    *(st.integers(-(10**40), -1), st.integers(2**53 + 1, 10**40), st.floats(allow_nan=False)),
    *(st.none(), st.booleans(), st.text(max_size=9), st.lists(st.integers(), max_size=2)),
)
NO_CURRENCY = st.one_of(
    st.sampled_from(["krw", "KR", "KRWX", "KRW\n", "ＫＲＷ", "", "K\u0000W"]), st.integers(), st.none()
)
NO_REFERENCE = st.one_of(
    st.sampled_from(["", "x" * 33, "a b", "a\u0000", "../..", "'--", "글"]),
    st.integers(),
    st.none(),
    st.lists(st.none()),
)
NO_TYPE = st.one_of(
    st.sampled_from(["", "Payment.Succeeded", "payment succeeded", "t" * 65, "a\u0000", "결제"]),
    st.integers(),
    st.none(),
)


def _mutation(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.just(name), values)


MUTATIONS = st.one_of(
    _mutation("amount", NUMBERS),
    _mutation("refunded", NUMBERS),
    _mutation("currency", NO_CURRENCY),
    _mutation("reference", NO_REFERENCE),
    _mutation("type", NO_TYPE),
    _mutation("raw", st.binary(max_size=300)),
    _mutation(
        "raw", st.sampled_from([b"[" * 16_000, b'{"type":' * 2_000, b"", b"null", b"[]", b"\xef\xbb\xbf{}"])
    ),
    _mutation("cut", st.integers(1, 100)),
)
VISIBLE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        ID_HEADER: st.one_of(VISIBLE, st.sampled_from(["", "a.b", "x" * 129, "é"])),
        TIMESTAMP_HEADER: st.one_of(
            VISIBLE, st.sampled_from(["0", "-1", "1e9", "9" * 12, "9" * 400, "nan", "１２３", "1.5"])
        ),
        SIGNATURE_HEADER: st.one_of(
            VISIBLE,
            st.sampled_from(["", "v1,", "v1", "v1,\u00ff", "v1,AAAA" * 30, " ".join(["v1,AAAA"] * 40)]),
        ),
        "content-type": st.sampled_from(
            ["text/plain", "multipart/form-data", "application/json; charset=utf-16", "x"]
        ),
        "content-encoding": st.sampled_from(["gzip", "br", "identity"]),
    },
)


def _changed(body: bytes, what: str, value: Any) -> bytes:
    if what == "raw":
        return bytes(value)
    if what == "cut":
        return body[: -int(value)]
    document = json.loads(body)
    (document if what == "type" else document["data"])[what] = value
    return json.dumps(document).encode()


FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(mutation=MUTATIONS)
def test_what_the_provider_signs_and_nobody_can_read_changes_nothing(
    counter: Till, gateways: Pair, mutation: tuple[str, Any]
) -> None:
    body, kept = _standing(counter)
    answer = gateways[0].tell(_changed(body, *mutation), "evt-fuzz")
    assert_problem(answer, 400, "unreadable_body")
    assert (books(counter.db), inbox(counter.db)) == (kept, [])


@FUZZ
@given(headers=HEADERS, genuine=st.booleans())
def test_whatever_headers_a_stranger_sends_they_are_a_problem_and_change_nothing(
    counter: Till, gateways: Pair, headers: dict[str, str], genuine: bool
) -> None:
    body, kept = _standing(counter)
    signed = sign("evt-fuzz", int(time.time()), body, read_secrets(["whsec_" + "QUJD" * 11]))
    given = (signed if genuine else {}) | headers
    raw = [(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in given.items()]
    answer = gateways[1].post(body, raw)
    # A server may refuse bytes that are no header before anybody reads them.
    if answer.headers.get("content-type") == "application/problem+json":
        assert answer.json()["code"] == "bad_signature"
    assert answer.status_code in (400, 401)
    assert (books(counter.db), inbox(counter.db)) == (kept, [])


_STANDING: dict[int, tuple[bytes, Any]] = {}


def _standing(till: Till) -> tuple[bytes, Any]:
    """A payment that waits, laid once for all examples of a test: the callback that would pay it, and the books before."""
    if id(till) not in _STANDING:
        _STANDING.clear()
        payment = opened(till)
        _STANDING[id(till)] = till.event("succeeded", payment), books(till.db)
    return _STANDING[id(till)]


@pytest.mark.parametrize("name", ["nobody", "%00", "%F0%9F%92%A5", "x" * 2_000, "Simulator"])
def test_a_provider_that_is_not_set_up_is_unknown(gateways: Pair, name: str) -> None:
    answer: httpx.Response = gateways[0].client.post(f"/api/v1/payments/callbacks/{name}", content=b"{}")
    assert_problem(answer, 404, "unknown_provider")
