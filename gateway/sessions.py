"""Sessions as signed texts, so that knowing who asks costs no look-up.

A text is a JWT (HS256) with the account's id, kind, role and whether its address is verified. Texts that were checked are
remembered until they expire. Knows neither requests nor cookies; whether a session was ended meanwhile is the shop's to say.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

import jwt
import msgspec

from shop.accounts.sessions import SignedIn
from waiting_room.macs import mac

if TYPE_CHECKING:
    from gateway.services import KeySet

Kind = Literal["buyer", "operator"]

_REMEMBERED = 50_000


class Principal(msgspec.Struct, frozen=True):
    """Who asks. `role` is viewer, operator or admin for operators, and empty for buyers."""

    subject_id: str
    kind: Kind
    role: str
    verified: bool
    session_id: str
    via: Literal["cookie", "bearer"]
    expires_at: int


class Sessions:
    """Signs and reads session texts. `keys` sign them, `csrf_keys` make the CSRF tokens."""

    def __init__(self, keys: KeySet, csrf_keys: KeySet) -> None:
        self._keys = keys
        self._csrf_keys = csrf_keys
        self._by_header = {_header(kid, key): key for kid, key in keys.by_id.items()}
        self._known: OrderedDict[tuple[str, str], Principal] = OrderedDict()

    def issue(self, signed_in: SignedIn, life_s: int) -> str:
        """A session text for `life_s` seconds."""
        now = int(time.time())
        claims = {
            "sub": signed_in.subject_id,
            "kind": signed_in.kind,
            "role": signed_in.role or "",
            "verified": signed_in.verified,
            "sid": signed_in.session_id,
            "iat": now,
            "exp": now + life_s,
        }
        active = self._keys.active
        return jwt.encode(claims, self._keys.by_id[active], "HS256", headers={"kid": active})

    def read(self, token: str, via: Literal["cookie", "bearer"]) -> Principal | None:
        """Whose session this is; None for anything that is not a live session of ours."""
        known = self._known.get((via, token))
        if known is None:
            claims = self._verify(token)
            if claims is None:
                return None
            known = claims.principal(via)
            self._known[via, token] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if known.expires_at <= time.time():
            self._known.pop((via, token), None)
            return None
        return known

    def _verify(self, token: str) -> _Claims | None:
        """The claims of a text of ours. Everything that we sign begins with one of a few headers, which name algorithm and key; no
        other one is ever looked into. A join is mostly the first that is seen of a session, and a library that reads any JWT
        takes a third of its time.
        """
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        key = self._by_header.get(header)
        if key is None or not token.isascii():
            return None
        ours = urlsafe_b64encode(mac(key, signed.encode())).rstrip(b"=")
        if not hmac.compare_digest(ours, signature.encode()):
            return None
        try:
            return msgspec.json.decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
        except (ValueError, msgspec.DecodeError):
            return None

    def csrf_token(self, session_id: str) -> str:
        """The token that a form of this session carries."""
        return _csrf(self._csrf_keys.by_id[self._csrf_keys.active], session_id)

    def csrf_fits(self, session_id: str, token: str) -> bool:
        """Whether a form's token belongs to the session."""
        given = token.encode("utf-8", "replace")
        fits = [
            hmac.compare_digest(_csrf(key, session_id).encode(), given)
            for key in self._csrf_keys.by_id.values()
        ]
        return any(fits)


class _Claims(msgspec.Struct, frozen=True):
    """What a session text says."""

    sub: str
    kind: Kind
    role: str
    verified: bool
    sid: str
    exp: int

    def principal(self, via: Literal["cookie", "bearer"]) -> Principal:
        return Principal(self.sub, self.kind, self.role, self.verified, self.sid, via, self.exp)


def _header(kid: str, key: bytes) -> str:
    """What all texts that are signed by a key begin with."""
    return jwt.encode({}, key, "HS256", headers={"kid": kid}).partition(".")[0]


def _csrf(key: bytes, session_id: str) -> str:
    return mac(key, session_id.encode()).hex()
