"""Signing in and staying signed in: one row a session, a family of refresh tokens that replace one another.

A refresh token is `session id . secret . mark`. Each secret follows from the one before it by a keyed hash, so that a client whose
answer was lost, or two tabs at once, may present the old token again for 30 s and get a pair of the same generation; the mark only
makes every answer different. Any later reuse means that two hold the token, and ends the family (RFC 9700, 4.14.2). Only a hash
of the secret is stored; it has 256 bits, so it needs no slow hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update

from shop.accounts.contact import find_account, find_operator
from shop.accounts.kit import AccountKit
from shop.accounts.rules import BadCredentials, Kind, SessionEnded, Unverified
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, operators, sessions

GRACE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in. `role` is empty for buyers; `expires_at` is the end of the family, however often it is refreshed."""

    subject_id: str
    kind: Kind
    role: str
    verified: bool
    session_id: str
    refresh_token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Subject:
    """Somebody who can sign in, as their row says."""

    subject_id: str
    kind: Kind
    role: str
    verified: bool
    password_hash: str = field(repr=False)


def sign_in(db: Database, kit: AccountKit, email: str, password: str) -> SignedIn:
    """Sign a buyer in. Hashes once (slow). Raises BadCredentials; Unverified only after the right password."""
    return _sign_in(db, kit, password, db.read(_buyer, kit, email))


def operator_sign_in(db: Database, kit: AccountKit, email: str, password: str) -> SignedIn:
    """Sign an operator in. Raises BadCredentials, also for a disabled operator."""
    return _sign_in(db, kit, password, db.read(_operator, kit, email))


def sign_in_any(db: Database, kit: AccountKit, email: str, password: str) -> SignedIn:
    """Sign in whoever has this address: a buyer, or else an operator. Hashes once, whoever it is (slow)."""
    return _sign_in(
        db, kit, password, db.read(lambda tx: _buyer(tx, kit, email) or _operator(tx, kit, email))
    )


def refresh(db: Database, kit: AccountKit, refresh_token: str) -> SignedIn:
    """Exchange a refresh token for the next one. Raises SessionEnded."""
    renewed = db.run(_refresh, kit, refresh_token)
    if renewed is None:
        raise SessionEnded("sign in again")
    return renewed


def sign_out(db: Database, session_id: str) -> None:
    """End one session; repeating it changes nothing."""
    db.run(_revoke, sessions.c.session_id == session_id)


def end_all_sessions(tx: Tx, subject_id: str) -> None:
    """End every session of an account or operator."""
    _revoke(tx, sessions.c.subject_id == subject_id)


def session_is_live(tx: Tx, session_id: str) -> bool:
    """Whether the session is neither revoked nor over."""
    return bool(live_sessions(tx, [session_id]))


def live_sessions(tx: Tx, session_ids: Collection[str]) -> set[str]:
    """Those of the sessions that are neither revoked nor over."""
    live = (sessions.c.revoked_at.is_(None)) & (sessions.c.expires_at > tx.now)
    return set(tx.scalars(select(sessions.c.session_id).where(sessions.c.session_id.in_(session_ids), live)))


def _sign_in(db: Database, kit: AccountKit, password: str, subject: _Subject | None) -> SignedIn:
    if not kit.hasher.verify(subject.password_hash if subject else None, password) or subject is None:
        raise BadCredentials("wrong address or password")
    if not subject.verified:
        raise Unverified("the address has not been confirmed")
    fresh = kit.hasher.hash(password) if kit.hasher.needs_rehash(subject.password_hash) else None
    started = db.run(_start, kit, subject, fresh)
    if started is None:
        raise BadCredentials("wrong address or password")
    return started


def _buyer(tx: Tx, kit: AccountKit, email: str) -> _Subject | None:
    row = find_account(tx, kit, email)
    if row is None or row.password_hash is None:
        return None
    return _Subject(row.account_id, Kind.BUYER, "", row.verified_at is not None, row.password_hash)


def _operator(tx: Tx, kit: AccountKit, email: str) -> _Subject | None:
    row = find_operator(tx, kit, email)
    if row is None or row.disabled_at is not None:
        return None
    return _Subject(row.operator_id, Kind.OPERATOR, row.role, True, row.password_hash)


def _start(tx: Tx, kit: AccountKit, subject: _Subject, fresh_hash: str | None) -> SignedIn | None:
    """A new session, unless the password was changed, or the account closed, while we were hashing."""
    if _password_now(tx, subject) != subject.password_hash:
        return None
    if fresh_hash is not None:
        table, key = (accounts, accounts.c.account_id)
        if subject.kind is Kind.OPERATOR:
            table, key = (operators, operators.c.operator_id)
        tx.execute(update(table).where(key == subject.subject_id).values(password_hash=fresh_hash))
    session_id, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
    expires_at = tx.now + kit.refresh_life
    row = {
        "session_id": session_id,
        "subject_id": subject.subject_id,
        "subject_kind": subject.kind,
        "refresh_hash": _hash(secret),
        "created_at": tx.now,
        "expires_at": expires_at,
    }
    tx.insert(sessions, [row])
    return _signed_in(subject, session_id, secret, expires_at)


def _password_now(tx: Tx, subject: _Subject) -> str | None:
    """The stored hash under a lock, so that whoever changes it afterwards also finds the session that is being made."""
    if subject.kind is Kind.BUYER:
        found = select(accounts.c.password_hash).where(accounts.c.account_id == subject.subject_id)
    else:
        found = select(operators.c.password_hash).where(
            operators.c.operator_id == subject.subject_id, operators.c.disabled_at.is_(None)
        )
    stored: str | None = tx.scalar(found.with_for_update())
    return stored


def _refresh(tx: Tx, kit: AccountKit, token: str) -> SignedIn | None:
    if token.count(".") != 2:
        return None
    session_id, secret, _mark = token.split(".")
    row = tx.first(select(sessions).where(sessions.c.session_id == session_id).with_for_update())
    if row is None or row.revoked_at is not None or row.expires_at <= tx.now:
        return None
    subject = _subject_of(tx, row)
    following = _next_secret(kit, session_id, secret)
    match _generation(tx.now, row, secret, following):
        case "present" if subject is not None:
            values = {
                "refresh_hash": _hash(following),
                "previous_hash": _hash(secret),
                "rotated_at": tx.now,
            }
            tx.execute(update(sessions).where(sessions.c.session_id == session_id).values(values))
        case "repeated" if subject is not None:
            pass
        case _:
            _revoke(tx, sessions.c.session_id == session_id)
            return None
    return _signed_in(subject, session_id, following, row.expires_at)


def _generation(now: datetime, row: Row[Any], secret: str, following: str) -> str:
    """`present`: the newest token; `repeated`: the one before it, within the grace; `reused`: anything else."""
    if hmac.compare_digest(_hash(secret), row.refresh_hash):
        return "present"
    repeated = row.previous_hash is not None and hmac.compare_digest(_hash(secret), row.previous_hash)
    in_time = row.rotated_at is not None and now - row.rotated_at <= GRACE
    return "repeated" if repeated and in_time and _hash(following) == row.refresh_hash else "reused"


def _subject_of(tx: Tx, session: Row[Any]) -> _Subject | None:
    """Who the session belongs to, with today's role; None once erased or disabled."""
    if session.subject_kind == Kind.BUYER:
        row = tx.first(select(accounts).where(accounts.c.account_id == session.subject_id))
        if row is None or row.password_hash is None:
            return None
        return _Subject(row.account_id, Kind.BUYER, "", row.verified_at is not None, row.password_hash)
    row = tx.first(select(operators).where(operators.c.operator_id == session.subject_id))
    if row is None or row.disabled_at is not None:
        return None
    return _Subject(row.operator_id, Kind.OPERATOR, row.role, True, row.password_hash)


def _signed_in(subject: _Subject, session_id: str, secret: str, expires_at: datetime) -> SignedIn:
    token = f"{session_id}.{secret}.{secrets.token_urlsafe(6)}"
    return SignedIn(
        subject.subject_id, subject.kind, subject.role, subject.verified, session_id, token, expires_at
    )


def _revoke(tx: Tx, which: Any) -> None:
    tx.execute(update(sessions).where(which, sessions.c.revoked_at.is_(None)).values(revoked_at=tx.now))


def _next_secret(kit: AccountKit, session_id: str, secret: str) -> str:
    text = f"refresh|{session_id}|{secret}".encode(errors="surrogatepass")
    digest = hmac.new(kit.code_key, text, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
