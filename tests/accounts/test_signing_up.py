"""Signing up and confirming an address, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from shop.accounts.kit import AccountKit
from shop.accounts.rules import Address, BadCode, BadCredentials, Unverified
from shop.accounts.sessions import sign_in
from shop.accounts.signup import create_verified_account, send_code_again, sign_up, verify
from shop.errors import InvalidFields
from shop.storage.database import Database
from shop.storage.tables import account_codes, accounts
from tests.accounts.people import EMAIL, NAME, PASSWORD, PostOffice, age, register, registered, wrong


def test_the_code_from_the_mail_confirms_the_account(db: Database, kit: AccountKit, post: PostOffice) -> None:
    account_id = register(db, kit)
    with pytest.raises(Unverified):
        sign_in(db, kit, EMAIL, PASSWORD)

    verify(db, kit, EMAIL.upper(), post.code())

    assert sign_in(db, kit, f" {EMAIL.upper()} ", PASSWORD).subject_id == account_id


def test_a_confirmation_that_is_sent_twice_is_no_error(
    db: Database, kit: AccountKit, post: PostOffice
) -> None:
    register(db, kit)
    code = post.code()
    verify(db, kit, EMAIL, code)
    verify(db, kit, EMAIL, f"{code[:4]} {code[4:]}")


def test_five_wrong_codes_use_up_the_right_one(db: Database, kit: AccountKit, post: PostOffice) -> None:
    register(db, kit)
    code = post.code()
    for _ in range(5):
        with pytest.raises(BadCode):
            verify(db, kit, EMAIL, wrong(code))
    with pytest.raises(BadCode):
        verify(db, kit, EMAIL, code)
    with pytest.raises(Unverified):
        sign_in(db, kit, EMAIL, PASSWORD)


def test_a_code_is_good_for_half_an_hour(db: Database, kit: AccountKit, post: PostOffice) -> None:
    register(db, kit)
    code = post.code()
    age(db, account_codes, timedelta(minutes=30), account_codes.c.expires_at)
    with pytest.raises(BadCode):
        verify(db, kit, EMAIL, code)


def test_nobody_is_told_that_an_address_has_an_account_except_its_owner(
    db: Database, kit: AccountKit, post: PostOffice
) -> None:
    account_id = registered(db, kit, post)

    answer = sign_up(db, kit, EMAIL, "somebody else's", "Somebody Else")

    assert answer != account_id
    assert len(answer) == len(account_id)
    assert db.read(lambda tx: tx.scalar(select(func.count()).select_from(accounts))) == 1
    assert "이미 가입된 주소" in post.mails()[0]["subject"]
    assert sign_in(db, kit, EMAIL, PASSWORD).subject_id == account_id
    with pytest.raises(BadCredentials):
        sign_in(db, kit, EMAIL, "somebody else's")


def test_a_known_address_gets_one_such_mail_a_minute_at_most(
    db: Database, kit: AccountKit, post: PostOffice
) -> None:
    registered(db, kit, post)
    before = len(post.mails())
    for _ in range(4):
        register(db, kit)
    assert len(post.mails()) - before <= 2  # two when the minute ends meanwhile


def test_sign_up_hashes_as_much_for_a_known_address_as_for_a_new_one(
    db: Database, kit: AccountKit, post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    plain = type(kit.hasher).hash
    monkeypatch.setattr(type(kit.hasher), "hash", lambda self, text: hashed.append(text) or plain(self, text))
    registered(db, kit, post)
    assert len(hashed) == 1
    register(db, kit)
    assert len(hashed) == 2


def test_a_code_confirms_the_sign_up_that_it_was_sent_for(
    db: Database, kit: AccountKit, post: PostOffice
) -> None:
    sign_up(db, kit, EMAIL, "the first password", NAME)
    first = post.code()

    sign_up(db, kit, EMAIL, "the second password", NAME)
    assert post.code() == first, "a second code within a minute"

    age(db, account_codes, timedelta(minutes=1), account_codes.c.created_at)
    sign_up(db, kit, EMAIL, "the third password", NAME)
    third = post.code()
    assert third != first
    with pytest.raises(BadCode):
        verify(db, kit, EMAIL, first)
    verify(db, kit, EMAIL, third)
    sign_in(db, kit, EMAIL, "the third password")


def test_a_new_code_can_be_sent_once_a_minute_until_the_address_is_confirmed(
    db: Database, kit: AccountKit, post: PostOffice
) -> None:
    register(db, kit)
    first = post.code()
    send_code_again(db, kit, EMAIL)
    assert len(post.mails()) == 1
    age(db, account_codes, timedelta(minutes=1), account_codes.c.created_at)
    send_code_again(db, kit, EMAIL)
    send_code_again(db, kit, "nobody@mail.example.com")
    assert len(post.mails()) == 2
    assert post.code() != first

    verify(db, kit, EMAIL, post.code())
    age(db, account_codes, timedelta(minutes=1), account_codes.c.created_at)
    send_code_again(db, kit, EMAIL)
    assert len(post.mails()) == 2


def test_every_bad_field_is_named_at_once_and_nothing_is_kept(db: Database, kit: AccountKit) -> None:
    nowhere = Address(recipient="", line1="", city="x", postcode="1", country="Korea")
    with pytest.raises(InvalidFields) as refused:
        sign_up(db, kit, "no address", "short", " ", "call me", nowhere, "xx")
    named = {fault.field for fault in refused.value.faults}
    assert named == {
        *("email", "password", "name", "phone", "locale"),
        *("address.recipient", "address.line1", "address.country"),
    }
    assert db.read(lambda tx: tx.first(select(accounts))) is None


def test_demo_accounts_need_no_mail_and_are_made_once(db: Database, kit: AccountKit) -> None:
    first = create_verified_account(db, kit, EMAIL, PASSWORD, "Demo Buyer")
    assert create_verified_account(db, kit, EMAIL, PASSWORD, "Demo Buyer") == first
    assert sign_in(db, kit, EMAIL, PASSWORD).subject_id == first
