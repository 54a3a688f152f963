"""Proofs with which one gets in: what was made here and solved is read, everything else is nothing."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import altcha
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.challenge import GOOD_FOR_MS, PAUSE_MS, Challenge, Challenges, Proof, Work

SALE, TICKET = "sale0000001", "t" * 14
EASY = Work(cost=1, least=1, most=5)
KEYS = {"k1": b"1" * 32, "k0": b"0" * 32}


def challenges(active: str = "k1", keys: dict[str, bytes] | None = None) -> Challenges:
    return Challenges(active, keys or KEYS, EASY)


def now() -> int:
    return time.time_ns() // 1_000_000


def solved(challenge: Challenge) -> dict[str, Any]:
    """What a solver sends, not yet packed."""
    asked = altcha.Challenge.from_dict(_plain(challenge))
    solution = altcha.solve_challenge(asked)
    assert solution is not None
    return altcha.Payload(asked, solution).to_dict()


def packed(payload: Any) -> str:
    return base64.b64encode(json.dumps(payload).encode()).decode()


def _plain(challenge: Challenge) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(challenge)
    return plain


def test_a_solved_challenge_is_a_proof_that_is_good_at_once_for_ten_minutes() -> None:
    at = now()
    challenge = challenges().make(SALE, at)
    proof = challenges().read(packed(solved(challenge)), SALE, TICKET, at)
    assert proof == Proof(challenge.parameters.nonce, 0, (at + GOOD_FOR_MS) // 1000 * 1000, is_pause=False)
    assert challenges().read(packed(solved(challenge)), SALE, "another-ticket", at) == proof


def test_the_solution_of_another_sale_or_of_a_key_that_is_gone_is_no_proof() -> None:
    text = packed(solved(challenges("k0").make(SALE, now())))
    assert challenges("k1").read(text, SALE, TICKET, now()) is not None, "older keys still read"
    assert challenges().read(text, "sale0000002", TICKET, now()) is None
    assert challenges(keys={"k1": b"1" * 32}).read(text, SALE, TICKET, now()) is None


def test_an_expired_solution_is_no_proof() -> None:
    text = packed(solved(challenges().make(SALE, now() - GOOD_FOR_MS - 1000)))
    assert challenges().read(text, SALE, TICKET, now()) is None
    fresh = packed(solved(challenges().make(SALE, now())))
    assert challenges().read(fresh, SALE, TICKET, now() + GOOD_FOR_MS) is None


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("challenge", "parameters", "cost"), 2),
        (("challenge", "parameters", "keyPrefix"), "00"),
        (("challenge", "parameters", "expiresAt"), 4_000_000_000),
        (("challenge", "parameters", "keySignature"), "00" * 32),
        (("challenge", "parameters", "data", "sale"), "sale0000002"),
        (("challenge", "parameters", "data", "kid"), "k0"),
        (("challenge", "parameters", "algorithm"), "SHA-256"),
        (("challenge", "signature"), "0" * 64),
        (("challenge", "signature"), ""),
        (("solution", "derivedKey"), "0" * 64),
        (("solution", "derivedKey"), "zz"),
        (("challenge", "parameters", "nonce"), 17),
        (("challenge", "parameters", "more"), 1),
    ],
)
def test_a_solution_that_was_changed_anywhere_is_no_proof(where: tuple[str, ...], value: Any) -> None:
    payload = solved(challenges().make(SALE, now()))
    inner: Any = payload
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    sale = value if where[-1] == "sale" else SALE
    assert challenges().read(packed(payload), sale, TICKET, now()) is None


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_whatever_is_sent_instead_is_no_proof_and_no_fault(text: str) -> None:
    assert challenges().read(text, SALE, TICKET, 0) is None


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_whatever_json_is_sent_instead_is_no_proof_and_no_fault(value: Any) -> None:
    for payload in (value, {"challenge": value, "solution": value}, {"challenge": {"parameters": value}}):
        assert challenges().read(packed(payload), SALE, TICKET, 0) is None


def test_a_pause_is_good_after_a_while_for_its_buyer_alone() -> None:
    text = challenges().pause(SALE, TICKET, 1_000)
    proof = challenges().read(text, SALE, TICKET, 1_000)
    assert proof is not None
    assert proof.is_pause
    assert (proof.ready_ms, proof.expires_ms) == (1_000 + PAUSE_MS, 1_000 + PAUSE_MS + GOOD_FOR_MS)
    assert challenges().read(text, SALE, "another-ticket", 1_000) is None
    assert challenges().read(text, "sale0000002", TICKET, 1_000) is None
    assert challenges().read(text, SALE, TICKET, proof.expires_ms) is None
    assert challenges().read(challenges().pause(SALE, TICKET, 1_000), SALE, TICKET, 1_000) != proof


@given(st.integers(min_value=0), st.sampled_from(["a", "0", ".", "", "é"]))
def test_a_pause_that_was_changed_anywhere_is_no_proof(at: int, other: str) -> None:
    text = challenges().pause(SALE, TICKET, 1_000)
    at %= len(text)
    changed = text[:at] + other + text[at + 1 :]
    assert changed == text or challenges().read(changed, SALE, TICKET, 1_000) is None
