"""Signed callbacks: what is let in, and that nothing a stranger sends is worse than refused."""

from __future__ import annotations

import base64
import json
import re
import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shop.payments.providers import MAX_CALLBACK_BYTES, Callback
from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.rules import BadSignature, BodyTooLarge, Fact, Report, Unreadable
from shop.payments.webhooks import read_secrets, sign, verify

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())


def secret(seed: int) -> str:
    return "whsec_" + base64.b64encode(bytes([seed]) * 32).decode()


KEYS = read_secrets([secret(1)])
PROVIDER = SimulatorProvider("http://127.0.0.1:9", "unused", [secret(1), secret(2)])

DATA = {"payment": "sim_1", "reference": "pay-1", "amount": 42_000, "currency": "KRW", "refunded": 0}
GOOD = {"type": "payment.succeeded", "timestamp": "2026-11-23T12:00:00Z", "data": DATA}


def bytes_of(document: object) -> bytes:
    return json.dumps(document).encode()


def signed(body: bytes, event_id: str = "evt_1", at: int = AT, seed: int = 1) -> dict[str, str]:
    return sign(event_id, at, body, read_secrets([secret(seed)]))


# ---------------------------------------------------------------- the standard


def test_the_published_example_of_the_standard_is_signed_as_published() -> None:
    keys = read_secrets(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    body = b'{"test": 2432232314}'
    headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, keys)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert (
        verify(headers, body, keys, datetime.fromtimestamp(1614265330, UTC)) == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    )


def test_a_genuine_callback_is_read() -> None:
    body = bytes_of(GOOD)
    callback = PROVIDER.read_callback(signed(body), body, NOW)
    assert callback == Callback(
        "evt_1", "payment.succeeded", "pay-1", Report(Fact.SUCCEEDED, 42_000, "KRW", 0)
    )


def test_the_old_and_the_new_secret_both_count_while_one_replaces_the_other() -> None:
    body = bytes_of(GOOD)
    for seed in (1, 2):
        assert PROVIDER.read_callback(signed(body, seed=seed), body, NOW).event_id == "evt_1"
    both = sign("evt_1", AT, body, read_secrets([secret(9), secret(2)]))
    assert PROVIDER.read_callback(both, body, NOW).event_id == "evt_1"
    with pytest.raises(BadSignature):
        PROVIDER.read_callback(signed(body, seed=3), body, NOW)


def test_signatures_of_unknown_versions_are_passed_over() -> None:
    body = bytes_of(GOOD)
    headers = signed(body)
    headers["webhook-signature"] = "v1a,abc v2,!!! nonsense " + headers["webhook-signature"]
    assert verify(headers, body, KEYS, NOW) == "evt_1"


@pytest.mark.parametrize(
    ("age_s", "taken"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)]
)
def test_a_callback_is_taken_within_five_minutes_of_its_sending(age_s: int, taken: bool) -> None:
    headers = signed(b"{}", at=AT - age_s)
    if taken:
        assert verify(headers, b"{}", KEYS, NOW) == "evt_1"
    else:
        with pytest.raises(BadSignature, match="too far from now"):
            verify(headers, b"{}", KEYS, NOW)


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed_and_each_is_signed(part: str) -> None:
    headers = signed(b"{}")
    with pytest.raises(BadSignature):
        verify({name: value for name, value in headers.items() if name != part}, b"{}", KEYS, NOW)
    for other in {**headers, part: ""}, {**headers, part: headers[part] + "0"}:
        with pytest.raises(BadSignature):
            verify(other, b"{}", KEYS, NOW)


def test_an_id_with_a_full_stop_is_refused_because_it_could_be_read_in_two_ways() -> None:
    body = f"{AT}.{{}}".encode()
    headers = signed(body, event_id="evt")
    assert verify(headers, body, KEYS, NOW) == "evt"
    with pytest.raises(BadSignature):  # the same signed bytes, cut at another full stop
        verify({**headers, "webhook-id": f"evt.{AT}"}, b"{}", KEYS, NOW)


def test_a_signature_has_one_spelling_only() -> None:
    headers = signed(b"{}")
    given = headers["webhook-signature"]
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    last = given[-2]
    same_bytes = given[:-2] + alphabet[alphabet.index(last) ^ 1] + "="
    assert base64.b64decode(same_bytes[3:]) == base64.b64decode(given[3:])
    for spelling in (
        same_bytes,
        given.rstrip("="),
        given + "=",
        given.replace("v1,", "V1,"),
        given.replace(",", ",,"),
    ):
        with pytest.raises(BadSignature):
            verify({**headers, "webhook-signature": spelling}, b"{}", KEYS, NOW)


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "0",
        "-5",
        "+5",
        " 5",
        "1e9",
        "1_000",
        "٣٤٥٦٧",
        "９９９",
        "nan",
        "inf",
        "9" * 30,
        "00" + str(AT),
        str(AT) + ".0",
    ],
)
def test_odd_timestamps_are_refused(timestamp: str) -> None:
    with pytest.raises(BadSignature):
        verify({**signed(b"{}"), "webhook-timestamp": timestamp}, b"{}", KEYS, NOW)


@pytest.mark.parametrize(
    "text", ["", "abc", "whsec_", "whsec_!!!!", "whsec_" + base64.b64encode(b"short").decode(), "whsec_é"]
)
def test_a_weak_or_malformed_secret_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        read_secrets([text])


# ---------------------------------------------------------------- whatever a stranger sends

hostile_text = st.one_of(
    st.text(max_size=200),
    st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=255), max_size=200),
    st.sampled_from(
        ["v1,", "v1", ",", " ", "\x00", "\r\n", "\ud800", "v1,é", "v1," + "A" * 5000, "v1," * 400, str(2**70)]
    ),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(signed(b""), hostile_text)), st.binary(max_size=300))
def test_a_stranger_gets_bad_signature_and_nothing_else(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadSignature):
        PROVIDER.read_callback(headers, body, NOW)


@given(st.sampled_from(sorted(signed(b""))), hostile_text)
def test_one_spoiled_header_among_genuine_ones_is_refused(name: str, value: str) -> None:
    body = bytes_of(GOOD)
    headers = signed(body)
    if value != headers[name]:
        with pytest.raises(BadSignature):
            PROVIDER.read_callback({**headers, name: value}, body, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
odd_values = st.one_of(
    json_values,
    st.sampled_from(
        [-1, 2**53 + 1, 10**40, 1.5, "42000", True, "krw", "KRWW", "KRW\n", "pay 1", "ö", "\ud800", "x" * 33]
    ),
)


@given(st.one_of(st.binary(max_size=200), json_values.map(bytes_of)))
@example(b"[" * 16_000)
@example(b'{"type":"x","data":' + b"[" * 8_000 + b"]" * 8_000 + b"}")
@example(b'{"type":"payment.succeeded","data":' + b'{"a":' * 2_500 + b"1" + b"}" * 2_500 + b"}")
@example(b'{"type":"x","data":"\xff"}')
@example(b"")
def test_a_genuine_body_that_makes_no_sense_is_unreadable_or_of_no_use(body: bytes) -> None:
    try:
        callback = PROVIDER.read_callback(signed(body), body, NOW)
    except Unreadable:
        return
    assert callback.report is None


@given(st.sampled_from(["type", "reference", "amount", "currency", "refunded"]), odd_values)
def test_wrong_types_and_odd_values_in_a_genuine_event_never_get_through(field: str, value: object) -> None:
    document = {**GOOD, "type": value} if field == "type" else {**GOOD, "data": {**DATA, field: value}}
    body = json.dumps(document).encode(errors="surrogatepass")
    try:
        callback = PROVIDER.read_callback(signed(body), body, NOW)
    except Unreadable:
        return
    if callback.report is not None:
        report = callback.report
        assert type(report.amount) is int
        assert 0 <= report.amount <= 2**53
        assert 0 <= report.refunded <= 2**53
        assert re.fullmatch("[A-Z]{3}", report.currency)
        assert re.fullmatch("[A-Za-z0-9_-]{1,32}", str(callback.payment_id))


def test_a_body_beyond_the_limit_is_refused_before_it_is_looked_at() -> None:
    body = b" " * (MAX_CALLBACK_BYTES + 1)
    with pytest.raises(BodyTooLarge):
        PROVIDER.read_callback(signed(body), body, NOW)


def test_an_event_of_an_unknown_type_is_genuine_and_of_no_use() -> None:
    body = bytes_of({"type": "payout.created", "data": {"anything": [1, 2]}})
    callback = PROVIDER.read_callback(signed(body), body, NOW + timedelta(seconds=1))
    assert callback == Callback("evt_1", "payout.created", None, None)
