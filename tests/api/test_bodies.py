"""Bodies are read strictly, and whatever is sent, nothing ends in a 500."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import inputs
from gateway.reading import check, faults_of, read_json
from gateway.refusals import BadFields, UnreadableBody
from tests.api.conftest import PASSWORD, House, problem

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KINDS = [
    inputs.NewAccount,
    inputs.NewOrder,
    inputs.NewSale,
    inputs.SaleChange,
    inputs.Action,
    inputs.MeChange,
]


@given(value=JSON, kind=st.sampled_from(KINDS))
def test_any_json_is_either_taken_or_refused_with_its_fields(value: Any, kind: type) -> None:
    faults = faults_of(value, kind)
    if not faults:
        check(value, kind)
        return
    with pytest.raises(BadFields) as refusal:
        check(value, kind)
    assert refusal.value.errors == faults
    assert all(fault.message for fault in faults)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_either_taken_or_refused(body: bytes) -> None:
    with pytest.raises((BadFields, UnreadableBody)):
        read_json(body, inputs.NewAccount)


def test_every_bad_field_is_named_by_its_path() -> None:
    value = {"email": 5, "name": None, "nonsense": 1, "address": {"line1": [], "x": 1}}
    assert {fault.field for fault in faults_of(value, inputs.NewAccount)} == {
        *("email", "name", "nonsense", "password", "address.line1", "address.x", "address.recipient"),
        *("address.city", "address.postcode", "address.country"),
    }


def test_numbers_in_quotes_are_no_numbers() -> None:
    with pytest.raises(BadFields):
        check({"lines": [{"product_id": "a", "quantity": "1"}]}, inputs.NewOrder)


async def test_a_sign_up_names_every_bad_field(house: House) -> None:
    body = {"email": "nobody", "password": "short", "name": "", "phone": "call me", "locale": "xx"}
    answer = await house.client.post("/api/v1/accounts", json=body)
    errors = problem(answer, 422, "bad_fields")["errors"]
    assert {error["field"] for error in errors} == {"email", "password", "name", "phone", "locale"}
    assert "short" not in answer.text.replace("shorter", ""), "what was entered is not repeated"


async def test_bodies_that_are_no_json_are_refused_as_such(house: House) -> None:
    send, path = house.client.post, "/api/v1/sessions"
    as_json = {"Content-Type": "application/json"}
    problem(await send(path, content=b"{", headers=as_json), 400, "unreadable_body")
    problem(await send(path, content=b"\xff\xfe", headers=as_json), 400, "unreadable_body")
    problem(await send(path, content=b'{"email": "\xff"}', headers=as_json), 400, "unreadable_body")
    problem(await send(path, content=b"[" * 60_000, headers=as_json), 400, "unreadable_body")
    problem(await send(path, content=b"", headers=as_json), 400, "unreadable_body")
    problem(await send(path, data={"email": "a"}), 415, "unsupported_media_type")
    problem(
        await send(path, content=b"{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type"
    )
    problem(await send(path, content=b"x" * 70_000, headers=as_json), 413, "too_large")
    for body in (b"[]", b"null", b"1", b'"x"'):
        problem(await send(path, content=body, headers=as_json), 422, "bad_fields")


async def test_unknown_paths_and_methods_are_problems(house: House) -> None:
    problem(await house.client.get("/api/v1/nothing"), 404, "not_found")
    problem(await house.client.get("/api/v2/sales"), 404, "not_found")
    answer = await house.client.put("/api/v1/sales")
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    problem(await house.client.get("/api/v1/sales/x/fairness"), 404, "unknown_sale")


HOSTILE: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        10**40,
        1e308,
        "",
        "\x00",
        "'; DROP TABLE sales; --",
        "../../etc/passwd",
        "\U0001f4a5" * 300,
    ),
    *([], {}, [[]], {"a": {"b": []}}, ["x"] * 500, "x" * 60_000, "%00", "<script>", "ＡＢＣ", "\u202e"),
]
BODIES: dict[str, tuple[str, list[str]]] = {
    "/accounts": ("POST", ["email", "password", "name", "phone", "address", "locale"]),
    "/accounts/verify": ("POST", ["email", "code"]),
    "/accounts/password-reset": ("POST", ["email"]),
    "/accounts/password-reset/confirm": ("POST", ["email", "code", "password"]),
    "/sessions": ("POST", ["email", "password"]),
    "/sessions/refresh": ("POST", ["refresh_token"]),
    "/me": ("PATCH", ["name", "phone", "locale"]),
    "/me/addresses": ("POST", ["recipient", "line1", "city", "postcode", "country", "line2", "phone"]),
    "/cart/items/x": ("PUT", ["quantity"]),
    "/sales/{sale}/orders": ("POST", ["lines", "address_id"]),
    "/orders/x/payment": ("POST", ["provider"]),
}
DESK: dict[str, tuple[str, list[str]]] = {
    "/operator/sessions": ("POST", ["email", "password"]),
    "/operator/sales": (
        "POST",
        ["slug", "title", "mode", "opens_at", "closes_at", "items", "capacity", "message"],
    ),
    "/operator/sales/{sale}": ("PATCH", ["slug", "title", "items", "capacity", "message", "over_call_limit"]),
    "/operator/sales/{sale}/actions/set-rate": ("POST", ["calls_per_minute", "capacity", "message"]),
}


async def test_hostile_values_never_end_in_a_fault(house: House) -> None:
    sale, buyer, operator = await house.sale(), await house.buyer(), await house.operator()
    chance = random.Random(7)
    good = {"email": "a@example.test", "password": PASSWORD, "name": "A", "code": "000000"} | house.draft()
    for person, calls in ((buyer, BODIES), (operator, DESK)):
        for path, (method, names) in calls.items():
            for _ in range(14):
                body = {name: good.get(name, 1) for name in names}
                for name in chance.sample(names, chance.randint(1, len(names))):
                    body[name] = chance.choice(HOSTILE)
                headers = {"If-Match": chance.choice(['"1"', "x", '""']), "Idempotency-Key": "k" * 8}
                answer = await person.ask(method, path.format(sale=sale), json=body, headers=headers)
                assert answer.status_code < 500 or answer.json()["code"] != "fault", (path, body, answer.text)


PATHS = ["/products/{}", "/sales/{}", "/sales/{}/line", "/sales/{}/ticket", "/orders/{}", "/products?sort={}"]
PATHS += ["/products?cursor={}", "/orders?cursor={}", "/operator/sales/{}", "/operator/orders?cursor={}"]
ODD = [
    "%00",
    "%ff",
    "%c3%28",
    "a%2Fb",
    "..%2f..",
    "%F0%9F%92%A5",
    "x" * 3000,
    "'--",
    "{}",
    "%25",
    "Ww",
    "MX5h",
    "fn4",
]


async def test_odd_paths_and_queries_never_end_in_a_fault(house: House) -> None:
    buyer, operator = await house.buyer(), await house.operator()
    for path in PATHS:
        person = operator if path.startswith("/operator") else buyer
        for odd in ODD:
            answer = await person.ask("GET", path.format(odd))
            assert answer.status_code in (200, 404, 422), (path, odd, answer.text)
