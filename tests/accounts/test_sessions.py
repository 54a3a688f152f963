"""Signing in, staying signed in and signing out, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from shop.accounts.kit import AccountKit
from shop.accounts.operators import create_operator, disable_operator, operator_sign_in
from shop.accounts.passwords import Hasher
from shop.accounts.reset import confirm_reset, request_reset
from shop.accounts.rules import BadCode, BadCredentials, Kind, OperatorExists, SessionEnded
from shop.accounts.sessions import (
    SignedIn,
    refresh,
    session_is_live,
    sign_in,
    sign_in_any,
    sign_out,
)
from shop.errors import InvalidFields
from shop.storage.database import Database
from shop.storage.tables import account_codes, accounts, sessions
from tests.accounts.people import EMAIL, PASSWORD, PostOffice, age, register, registered, wrong

NEW_PASSWORD = "six tiny seagulls"


@pytest.fixture
def signed_in(db: Database, kit: AccountKit, post: PostOffice) -> SignedIn:
    """A verified buyer who has just signed in."""
    registered(db, kit, post)
    return sign_in(db, kit, EMAIL, PASSWORD)


def test_wrong_password_and_unknown_address_are_the_same_refusal_at_the_same_cost(
    db: Database, kit: AccountKit, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[object] = []
    plain = Hasher.verify
    monkeypatch.setattr(
        Hasher, "verify", lambda self, stored, text: checked.append(1) or plain(self, stored, text)
    )
    for email, password in ((EMAIL, "not the password"), ("nobody@mail.example.com", PASSWORD), ("", "")):
        checked.clear()
        with pytest.raises(BadCredentials) as refused:
            sign_in(db, kit, email, password)
        assert str(refused.value) == "wrong address or password"
        assert len(checked) == 1


def test_a_wrong_password_does_not_tell_whether_the_account_is_confirmed(
    db: Database, kit: AccountKit
) -> None:
    register(db, kit)
    with pytest.raises(BadCredentials):
        sign_in(db, kit, EMAIL, "not the password")


def test_a_refresh_token_is_exchanged_for_the_next_one(
    db: Database, kit: AccountKit, signed_in: SignedIn
) -> None:
    second = refresh(db, kit, signed_in.refresh_token)
    third = refresh(db, kit, second.refresh_token)
    assert len({signed_in.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert third.session_id == signed_in.session_id
    assert third.expires_at == signed_in.expires_at


def test_the_old_token_gives_another_pair_for_thirty_seconds_and_both_pairs_work(
    db: Database, kit: AccountKit, signed_in: SignedIn
) -> None:
    one = refresh(db, kit, signed_in.refresh_token)
    other = refresh(db, kit, signed_in.refresh_token)
    assert one.refresh_token != other.refresh_token
    refresh(db, kit, other.refresh_token)
    refresh(db, kit, one.refresh_token)


def test_many_tabs_that_refresh_at_once_all_stay_signed_in(
    db: Database, kit: AccountKit, signed_in: SignedIn
) -> None:
    with ThreadPoolExecutor(4) as tabs:
        pairs = list(tabs.map(lambda _: refresh(db, kit, signed_in.refresh_token), range(4)))
    refresh(db, kit, pairs[2].refresh_token)
    assert db.read(session_is_live, signed_in.session_id)


def test_later_reuse_of_an_old_token_ends_the_family(
    db: Database, kit: AccountKit, signed_in: SignedIn
) -> None:
    newest = refresh(db, kit, signed_in.refresh_token)
    age(db, sessions, timedelta(seconds=31), sessions.c.rotated_at)
    with pytest.raises(SessionEnded):
        refresh(db, kit, signed_in.refresh_token)
    with pytest.raises(SessionEnded):
        refresh(db, kit, newest.refresh_token)
    assert not db.read(session_is_live, signed_in.session_id)


def test_a_token_two_steps_old_ends_the_family_even_within_thirty_seconds(
    db: Database, kit: AccountKit, signed_in: SignedIn
) -> None:
    newest = refresh(db, kit, refresh(db, kit, signed_in.refresh_token).refresh_token)
    with pytest.raises(SessionEnded):
        refresh(db, kit, signed_in.refresh_token)
    with pytest.raises(SessionEnded):
        refresh(db, kit, newest.refresh_token)


@pytest.mark.parametrize("token", ["", ".", "nonsense", "a.b.c", "ü.ü.ü", "\ud800." * 3, "x" * 5000])
def test_nonsense_is_no_refresh_token(db: Database, kit: AccountKit, token: str) -> None:
    with pytest.raises(SessionEnded):
        refresh(db, kit, token)


def test_a_session_ends_by_signing_out_and_by_its_age(
    db: Database, kit: AccountKit, signed_in: SignedIn
) -> None:
    other = sign_in(db, kit, EMAIL, PASSWORD)
    sign_out(db, signed_in.session_id)
    sign_out(db, signed_in.session_id)
    with pytest.raises(SessionEnded):
        refresh(db, kit, signed_in.refresh_token)
    other = refresh(db, kit, other.refresh_token)
    age(db, sessions, kit.refresh_life, sessions.c.expires_at)
    with pytest.raises(SessionEnded):
        refresh(db, kit, other.refresh_token)


def test_a_hash_with_old_parameters_is_renewed_by_signing_in(
    db: Database, kit: AccountKit, signed_in: SignedIn
) -> None:
    stronger = AccountKit(kit.vault, kit.lookup, Hasher(memory_kib=128, time_cost=1), kit.code_key)
    sign_in(db, stronger, EMAIL, PASSWORD)
    stored = db.read(lambda tx: tx.scalar(select(accounts.c.password_hash)))
    assert stored.startswith("$argon2id$v=19$m=128,t=1,p=1$")
    sign_in(db, kit, EMAIL, PASSWORD)


def test_a_new_password_ends_every_session(
    db: Database, kit: AccountKit, signed_in: SignedIn, post: PostOffice
) -> None:
    request_reset(db, kit, EMAIL)
    confirm_reset(db, kit, EMAIL, post.code(), NEW_PASSWORD)

    with pytest.raises(SessionEnded):
        refresh(db, kit, signed_in.refresh_token)
    with pytest.raises(BadCredentials):
        sign_in(db, kit, EMAIL, PASSWORD)
    sign_in(db, kit, EMAIL, NEW_PASSWORD)
    with pytest.raises(BadCode):
        confirm_reset(db, kit, EMAIL, post.code(), "seven tiny seagulls")


def test_asking_for_a_new_password_tells_nobody_anything(
    db: Database, kit: AccountKit, signed_in: SignedIn, post: PostOffice
) -> None:
    before = len(post.mails())
    request_reset(db, kit, "nobody@mail.example.com")
    request_reset(db, kit, EMAIL)
    request_reset(db, kit, EMAIL)
    assert len(post.mails()) == before + 1


def test_a_reset_code_has_five_tries_and_a_weak_password_uses_none(
    db: Database, kit: AccountKit, signed_in: SignedIn, post: PostOffice
) -> None:
    request_reset(db, kit, EMAIL)
    code = post.code()
    for _ in range(6):
        with pytest.raises(InvalidFields):
            confirm_reset(db, kit, EMAIL, code, "weak")
    for _ in range(5):
        with pytest.raises(BadCode):
            confirm_reset(db, kit, EMAIL, wrong(code), NEW_PASSWORD)
    with pytest.raises(BadCode):
        confirm_reset(db, kit, EMAIL, code, NEW_PASSWORD)
    sign_in(db, kit, EMAIL, PASSWORD)


def test_tries_run_out_however_many_are_made_at_once(
    db: Database, kit: AccountKit, signed_in: SignedIn, post: PostOffice
) -> None:
    request_reset(db, kit, EMAIL)
    code = post.code()

    def attempt(number: int) -> None:
        with pytest.raises(BadCode):
            confirm_reset(db, kit, EMAIL, wrong(code), NEW_PASSWORD)

    with ThreadPoolExecutor(4) as thieves:
        list(thieves.map(attempt, range(12)))
    assert db.read(lambda tx: tx.scalars(select(account_codes.c.attempts_left))).count(0) == 1


def test_a_verification_code_does_not_reset_a_password(
    db: Database, kit: AccountKit, post: PostOffice
) -> None:
    register(db, kit)
    with pytest.raises(BadCode):
        confirm_reset(db, kit, EMAIL, post.code(), NEW_PASSWORD)


def test_operators_sign_in_with_their_role_until_they_are_disabled(db: Database, kit: AccountKit) -> None:
    operator_id = create_operator(db, kit, EMAIL, PASSWORD, "Ops", "viewer")
    with pytest.raises(OperatorExists):
        create_operator(db, kit, EMAIL.upper(), PASSWORD, "Ops", "admin")
    with pytest.raises(InvalidFields):
        create_operator(db, kit, "other@mail.example.com", PASSWORD, "Ops", "king")

    session = operator_sign_in(db, kit, EMAIL, PASSWORD)
    assert (session.subject_id, session.kind, session.role) == (operator_id, Kind.OPERATOR, "viewer")
    assert refresh(db, kit, session.refresh_token).role == "viewer"
    with pytest.raises(BadCredentials):
        sign_in(db, kit, EMAIL, PASSWORD)

    disable_operator(db, operator_id)
    with pytest.raises(BadCredentials):
        operator_sign_in(db, kit, EMAIL, PASSWORD)
    with pytest.raises(SessionEnded):
        refresh(db, kit, session.refresh_token)


def test_one_form_signs_in_buyers_and_operators(db: Database, kit: AccountKit, signed_in: SignedIn) -> None:
    create_operator(db, kit, "ops@mail.example.com", PASSWORD, "Ops", "operator")
    assert sign_in_any(db, kit, EMAIL, PASSWORD).kind is Kind.BUYER
    assert sign_in_any(db, kit, "ops@mail.example.com", PASSWORD).kind is Kind.OPERATOR
    with pytest.raises(BadCredentials):
        sign_in_any(db, kit, "nobody@mail.example.com", PASSWORD)
