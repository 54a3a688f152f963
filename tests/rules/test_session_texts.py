"""Session texts: nobody can make or change one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions import Principal, Sessions
from shop.accounts.rules import Kind
from shop.accounts.sessions import SignedIn


@dataclass
class Keys:
    active: str = "k2"
    by_id: dict[str, bytes] = field(default_factory=lambda: {"k1": b"1" * 32, "k2": b"2" * 32})


KEYS = Keys()
SESSIONS = Sessions(KEYS, KEYS)
ANN = SignedIn("ann", Kind.BUYER, "", True, "session1", "", datetime.now(UTC))
TOKEN = SESSIONS.issue(ANN, 3600)
CLAIMS: dict[str, Any] = jwt.decode(TOKEN, options={"verify_signature": False})


def test_a_session_is_read_back_as_it_was_and_is_a_jwt_that_any_library_reads() -> None:
    for _ in range(2):
        assert SESSIONS.read(TOKEN, "bearer") == Principal(
            "ann", "buyer", "", True, "session1", "bearer", CLAIMS["exp"]
        )
    assert jwt.decode(TOKEN, KEYS.by_id["k2"], algorithms=["HS256"])["sub"] == "ann"
    older = jwt.encode(CLAIMS, KEYS.by_id["k1"], "HS256", headers={"kid": "k1"})
    assert SESSIONS.read(older, "cookie") is not None


@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_any_changed_character_makes_it_worthless(place: int, other: str) -> None:
    if TOKEN[place] != other:
        assert SESSIONS.read(TOKEN[:place] + other + TOKEN[place + 1 :], "bearer") is None


@given(st.text(max_size=300) | st.text("eyJ.hbGci_-", max_size=80))
def test_any_other_text_is_nobody(text: str) -> None:
    assert SESSIONS.read(text, "bearer") is None


@pytest.mark.parametrize(
    "forged",
    [
        jwt.encode(CLAIMS, None, "none", headers={"kid": "k2"}),
        jwt.encode(CLAIMS, b"x" * 32, "HS256", headers={"kid": "k2"}),
        jwt.encode(CLAIMS, KEYS.by_id["k1"], "HS256", headers={"kid": "k2"}),
        jwt.encode(CLAIMS, KEYS.by_id["k2"] * 2, "HS512", headers={"kid": "k2"}),
        jwt.encode(CLAIMS, KEYS.by_id["k2"], "HS256", headers={"kid": "k9"}),
        jwt.encode(CLAIMS, KEYS.by_id["k2"], "HS256"),
        jwt.encode({**CLAIMS, "kind": "admin"}, KEYS.by_id["k2"], "HS256", headers={"kid": "k2"}),
        jwt.encode({**CLAIMS, "exp": None}, KEYS.by_id["k2"], "HS256", headers={"kid": "k2"}),
        jwt.encode({"sub": "ann"}, KEYS.by_id["k2"], "HS256", headers={"kid": "k2"}),
        TOKEN + "=",
        TOKEN + ".",
        " " + TOKEN,
    ],
)
def test_what_is_signed_in_another_way_or_says_something_else_is_nobody(forged: str) -> None:
    assert SESSIONS.read(forged, "bearer") is None


def test_a_session_ends_also_when_it_is_remembered() -> None:
    short = jwt.encode(
        {**CLAIMS, "exp": int(time.time()) - 1}, KEYS.by_id["k2"], "HS256", headers={"kid": "k2"}
    )
    assert SESSIONS.read(short, "bearer") is None
    assert SESSIONS.read(short, "bearer") is None
