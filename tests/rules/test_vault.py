"""Sealing, opening and looking up, without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.vault import Lookup, Unreadable, Vault, normal_email, place

KEYS = {"k1": bytes(range(32)), "a-much-longer-id": bytes(32)}
HERE = place("accounts.name_sealed", "abc")
words = st.text(st.characters(exclude_categories=["Cs"]))


@given(words, words, st.sampled_from(sorted(KEYS)))
def test_what_was_sealed_opens_again_in_its_place(text: str, context: str, active: str) -> None:
    sealed = Vault(active, KEYS).seal(text, context)
    assert Vault("k1", KEYS).open(sealed, context) == text
    assert len(sealed) == len(text.encode()) + len(active) + 29


@given(st.integers(0, 45), st.integers(1, 255))
def test_any_changed_byte_is_noticed(where: int, change: int) -> None:
    vault = Vault("k1", KEYS)
    sealed = bytearray(vault.seal("a name of 16 letters"[:15], HERE))
    sealed[where] ^= change
    with pytest.raises(Unreadable):
        vault.open(bytes(sealed), HERE)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_sealed_field_are_refused(noise: bytes) -> None:
    with pytest.raises(Unreadable):
        Vault("k1", KEYS).open(noise, HERE)


def test_the_same_text_never_looks_the_same_twice() -> None:
    vault = Vault("k1", KEYS)
    assert vault.seal("text", HERE) != vault.seal("text", HERE)
    assert len(set(vault.seal_all([("text", HERE)] * 100))) == 100


def test_fields_that_are_sealed_together_open_each_in_its_own_place() -> None:
    vault = Vault("k1", KEYS)
    fields = [(f"text {number}", place("outbox.payload_sealed", str(number))) for number in range(20)]
    for sealed, (text, here) in zip(vault.seal_all(fields), fields, strict=True):
        assert vault.open(sealed, here) == text
        with pytest.raises(Unreadable):
            vault.open(sealed, HERE)
    assert vault.seal_all([]) == []


def test_only_fields_under_an_old_key_are_sealed_anew() -> None:
    old, new = Vault("k1", KEYS), Vault("a-much-longer-id", KEYS)
    fresh = new.reseal(old.seal("text", HERE), HERE)
    assert fresh is not None
    assert new.open(fresh, HERE) == "text"
    assert new.reseal(fresh, HERE) is None


def test_a_key_that_is_not_in_the_ring_opens_nothing_and_a_ring_has_its_active_key() -> None:
    sealed = Vault("k1", KEYS).seal("text", HERE)
    with pytest.raises(Unreadable):
        Vault("k2", {"k2": KEYS["k1"]}).open(sealed, HERE)
    with pytest.raises(ValueError, match="active"):
        Vault("k3", KEYS)
    with pytest.raises(ValueError, match="active"):
        Lookup("k3", KEYS)


def test_one_address_in_any_spelling_has_one_look_up_under_each_key() -> None:
    lookup = Lookup("k1", KEYS)
    assert lookup.of(" Minji@Example.COM ") == lookup.of("minji@example.com")
    assert lookup.of("minji@example.com") != lookup.of("minju@example.com")
    assert lookup.candidates("minji@example.com")[0] == lookup.of("minji@example.com")
    rotated = Lookup("a-much-longer-id", KEYS)
    assert set(rotated.candidates("minji@example.com")) == set(lookup.candidates("minji@example.com"))
    assert rotated.of("minji@example.com") != lookup.of("minji@example.com")


@given(st.text())
def test_any_text_can_be_looked_up(text: str) -> None:
    assert len(Lookup("k1", KEYS).of(text)) == 43
    assert normal_email(normal_email(text)) == normal_email(text)
