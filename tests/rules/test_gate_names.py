"""What passes from the room's gate to a site: the names, pure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome_gate import names, nonce

GATEWAY = Path(__file__).parents[2] / "gateway"
NAMES = st.text("abcdefXYZ019_-", min_size=1, max_size=12)
# Cookies that open nothing and say nothing about anybody.
HARMLESS = {"language"}


@given(st.lists(st.tuples(NAMES, NAMES), max_size=6), st.booleans())
def test_the_sites_own_cookies_come_through_as_they_are(pairs: list[tuple[str, str]], secure: bool) -> None:
    theirs = [f"{name}={value}" for name, value in pairs if not names.is_ours(name, secure=secure)]
    ours = [
        f"{names.cookie_name('pass_0123', secure=secure)}=x",
        f"{names.cookie_name('session', secure=secure)}=y",
    ]
    assert names.cookies_of_the_site("; ".join([*ours, *theirs]), secure=secure) == "; ".join(theirs)
    assert names.cookies_of_the_site("; ".join([*theirs, *ours]), secure=secure) == "; ".join(theirs)


def test_every_cookie_of_the_gateway_is_kept_from_the_sites() -> None:
    """A new cookie of ours has to be named in firstcome_gate/names.py, or the sites behind the gate would see it."""
    text = "\n".join(path.read_text() for path in GATEWAY.rglob("*.py"))
    direct = re.findall(r'cookie(?:_name)?\([^()]*?f?"([a-z]+_?)(?:\{[^"]*)?"', text)
    by_name = re.findall(r'name = f?"([a-z]+_)\{[^"]*\}"', text)
    constants = re.findall(r'^(?:[A-Z_]*COOKIE|[A-Z]+, [A-Z]+_S) = "([a-z_]+)"', text, re.MULTILINE)
    found = {*direct, *by_name, *constants} - HARMLESS
    assert {"ticket_", "pass_", "receipt_", "return_", "start_", "pending"} <= found
    for name in found:
        assert names.is_ours(f"__Host-{name}{'0' if name.endswith('_') else ''}", secure=True), name
    assert names.is_ours(names.cookie_name(nonce.COOKIE, secure=True), secure=True)
    assert names.is_ours("session", secure=False)
    assert names.is_ours("__Host-operator", secure=True)


@pytest.mark.parametrize(
    "name",
    [
        "X-Firstcome-Account",
        "x-firstcome-anything",
        "X_Firstcome_Account",
        "X-FIRSTCOME_sale",
        "Admission_Pass",
    ],
)
def test_nobody_can_claim_to_be_the_gate(name: str) -> None:
    sent = [(name.encode(), b"mallory"), (b"accept", b"*/*")]
    assert names.headers_for_the_site(sent, secure=True) == [(b"accept", b"*/*")]
