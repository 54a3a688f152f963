"""What an account's fields may be."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.accounts.rules import (
    ADDRESS_BYTES,
    Address,
    Role,
    address_faults,
    decode_address,
    email_faults,
    encode_address,
    locale_faults,
    name_faults,
    phone_faults,
    role_faults,
)

HERE = Address(recipient="김민지", line1="세종대로 110", city="서울", postcode="04524", country="KR")


@pytest.mark.parametrize(
    "email", ["a@b.co", "first.last+tag@sub.example.com", " Minji@Example.COM ", "o'hara@example.ie"]
)
def test_addresses_that_people_have_are_taken(email: str) -> None:
    assert not list(email_faults(email))


@pytest.mark.parametrize(
    "email",
    [
        *("", "@", "a@", "@b.co", "a@b", "a b@c.de", "a@b..co", ".a@b.co", "a@-b.co", "a@b.co.", "a@b.1"),
        *(
            "a@b.co\nBcc: c@d.ef",
            "a@b.co,c@d.ef",
            "<a@b.co>",
            "민지@example.com",
            "a@예시.com",
            "a" * 65 + "@b.co",
        ),
        *("a@" + "b" * 250 + ".co", "a@b.co\x00", "\ud800@b.co"),
        *("\u212aim@example.com", "kim@\u212aakao.com"),  # the Kelvin sign: its small letter is an ordinary k
    ],
)
def test_addresses_that_cannot_be_mailed_to_are_refused(email: str) -> None:
    assert [fault.field for fault in email_faults(email)] == ["email"]


@given(st.text())
def test_no_fault_repeats_what_was_entered(text: str) -> None:
    faults = [
        *email_faults(text),
        *name_faults(text),
        *phone_faults(text),
        *locale_faults(text),
        *role_faults(text),
    ]
    unusual = len(text) > 3 and any(ord(char) > 127 for char in text)
    assert not any(unusual and text in fault.message for fault in faults)


@pytest.mark.parametrize(
    ("name", "fine"), [("김민지", True), ("x" * 100, True), (" ", False), ("x" * 101, False), ("a\nb", False)]
)
def test_a_name_is_one_line(name: str, fine: bool) -> None:
    assert (not list(name_faults(name))) is fine


@pytest.mark.parametrize(
    ("phone", "fine"),
    [
        ("", True),
        ("+82 10-1234-5678", True),
        ("02 (123) 45", True),
        ("call me", False),
        ("1" * 33, False),
        ("-1", False),
    ],
)
def test_a_phone_number_looks_like_one(phone: str, fine: bool) -> None:
    assert (not list(phone_faults(phone))) is fine


def test_every_bad_field_of_an_address_is_named() -> None:
    bad = Address(
        recipient="", line1="x" * 201, line2="a\nb", city=" ", postcode="1" * 17, country="kr", phone="?"
    )
    assert [fault.field for fault in address_faults(bad, "address.")] == [
        "address.recipient",
        "address.line1",
        "address.line2",
        "address.city",
        "address.postcode",
        "address.country",
        "address.phone",
    ]
    assert not list(address_faults(HERE))


text_of = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=200)


@given(text_of, text_of, text_of)
def test_an_accepted_address_fits_its_column_and_reads_the_same_again(one: str, two: str, three: str) -> None:
    address = msgspec.structs.replace(HERE, line1=one, line2=two, city=three)
    if not list(address_faults(address)):
        assert len(encode_address(address).encode()) <= ADDRESS_BYTES
        assert decode_address(encode_address(address)) == address


def test_each_role_includes_the_ones_before_it() -> None:
    assert [role.includes(Role.OPERATOR) for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)] == [
        False,
        True,
        True,
    ]
    assert all(role.includes(Role.VIEWER) for role in Role)
