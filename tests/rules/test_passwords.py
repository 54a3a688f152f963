"""Passwords, without a database."""

from __future__ import annotations

import unicodedata

import pytest

from shop.accounts.passwords import Hasher
from shop.accounts.rules import PASSWORD_CHARS, password_faults

CHEAP = Hasher(memory_kib=64, time_cost=1)


def test_the_default_is_argon2id_at_the_minimum_that_owasp_names() -> None:
    assert Hasher().hash("five tiny seagulls").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_right_password_is_right_and_every_other_is_wrong() -> None:
    stored = CHEAP.hash("five tiny seagulls")
    assert CHEAP.verify(stored, "five tiny seagulls")
    assert not CHEAP.verify(stored, "five tiny seagull")
    assert not CHEAP.verify(stored, "")
    assert stored != CHEAP.hash("five tiny seagulls")


def test_a_password_is_the_same_on_every_keyboard() -> None:
    composed = "갈매기 다섯 마리"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    assert CHEAP.verify(CHEAP.hash(composed), decomposed)


@pytest.mark.parametrize("stored", [None, "", "not a hash", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$"])
def test_without_a_usable_hash_no_password_is_right(stored: str | None) -> None:
    assert not CHEAP.verify(stored, "five tiny seagulls")


def test_the_longest_password_counts_to_its_last_letter() -> None:
    longest = "x" * (PASSWORD_CHARS.stop - 1)
    stored = CHEAP.hash(longest)
    assert CHEAP.verify(stored, longest)
    assert not CHEAP.verify(stored, longest[:-1] + "y")
    assert not CHEAP.verify(stored, longest + "x")


def test_a_hash_with_other_parameters_wants_to_be_made_again() -> None:
    assert not CHEAP.needs_rehash(CHEAP.hash("five tiny seagulls"))
    assert Hasher(memory_kib=128, time_cost=1).needs_rehash(CHEAP.hash("five tiny seagulls"))


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        ("8 signs.", True),
        ("갈매기다섯마리요", True),
        ("x" * 256, True),
        ("7 signs", False),
        ("x" * 257, False),
        ("tabs\tare not typed", False),
        ("Minji@Example.com", False),
    ],
)
def test_a_password_has_8_to_256_characters_and_is_not_the_address(password: str, fine: bool) -> None:
    assert (not list(password_faults(password, "minji@example.com"))) is fine
