"""What a join may have to bring: a solved proof of work, or the proof of having waited a while. Either is good once.

The proof of work is ALTCHA's (https://altcha.org, version 2, PBKDF2/SHA-256), so that each of its solvers serves: a native call is
hardly faster at it than a browser, and checking it costs one HMAC. Who has no JavaScript gets a *pause* instead: a signed text
that opens the door some seconds later, and for one buyer of a network in so many seconds, so that no robot is better off with it.
Both are signed for one sale and expire. Knows no Redis; what was spent is noted by join.lua.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import altcha
import msgspec

ALGORITHM = "PBKDF2/SHA-256"
GOOD_FOR_MS = 10 * 60_000
# How long a buyer without JavaScript waits, and how far apart two of one network come in: longer than a solution takes.
PAUSE_MS = 20_000
LONGEST_TEXT = 2_048

_PAUSE = "pause1"
_ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class Work:
    """How much a proof of work asks for: tries of `cost` rounds each, `least` to `most` of them."""

    cost: int = 1_000
    least: int = 500
    most: int = 2_500


@dataclass(frozen=True, slots=True)
class Proof:
    """Something to get in with. `ready_ms`: from when on it is good, `expires_ms`: until when (unix ms)."""

    proof_id: str
    ready_ms: int
    expires_ms: int
    is_pause: bool


class Arrival(msgspec.Struct, frozen=True):
    """How a join comes to the door: from which network (a keyed hash that changes daily, "" for one that is not counted), how many
    a minute may come from there without a proof, and with which proof.
    """

    now_ms: int
    network: str = ""
    free_a_minute: int = 0
    proof: Proof | None = None


class ChallengeData(msgspec.Struct, frozen=True, kw_only=True):
    """For which sale a challenge was made, and with which key."""

    sale: str
    kid: str


class ChallengeParameters(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What to solve: find the counter behind `nonce` whose derived key begins with `key_prefix`. `expires_at` in unix seconds."""

    algorithm: str
    nonce: str
    salt: str
    cost: int
    key_length: int
    key_prefix: str
    key_signature: str
    expires_at: int
    data: ChallengeData


class Challenge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A challenge as ALTCHA's solvers read it (version 2)."""

    parameters: ChallengeParameters
    signature: str


class _Solution(msgspec.Struct, frozen=True, rename="camel"):
    counter: int
    derived_key: str


class _Payload(msgspec.Struct, frozen=True):
    challenge: Challenge
    solution: _Solution


class Challenges:
    """Makes challenges and pauses, and reads what comes back. `keys` by id; the `active` one signs."""

    def __init__(self, active: str, keys: Mapping[str, bytes], work: Work | None = None) -> None:
        self._active = active
        self._keys = keys
        self._work = work or Work()

    def make(self, sale_id: str, now_ms: int) -> Challenge:
        """A challenge of this sale. Costs one try."""
        key, work = self._keys[self._active], self._work
        made = altcha.create_challenge(
            ALGORITHM,
            work.cost,
            counter=work.least + secrets.randbelow(work.most - work.least + 1),
            expires_at=(now_ms + GOOD_FOR_MS) // 1000,
            data={"sale": sale_id, "kid": self._active},
            hmac_secret=key,
            hmac_key_secret=_key_of_solutions(key),
        )
        return msgspec.convert(made.to_dict(), Challenge)

    def pause(self, sale_id: str, ticket_id: str, now_ms: int) -> str:
        """A text with which the holder of this ticket id may come in after `PAUSE_MS`."""
        content = f"{_PAUSE}.{self._active}.{secrets.token_urlsafe(_ID_BYTES)}.{now_ms + PAUSE_MS}"
        return f"{content}.{_sign(self._keys[self._active], content, sale_id, ticket_id)}"

    def read(self, text: str, sale_id: str, ticket_id: str, now_ms: int) -> Proof | None:
        """The proof that a text carries; None for anything else, an expired one included. Whether it is ready is for the caller."""
        if not text or len(text) > LONGEST_TEXT or not text.isascii():
            return None
        if text.startswith(_PAUSE):
            proof = self._read_pause(text, sale_id, ticket_id)
        else:
            proof = self._read_solution(text, sale_id)
        return proof if proof is not None and now_ms < proof.expires_ms else None

    def _read_pause(self, text: str, sale_id: str, ticket_id: str) -> Proof | None:
        content, _, signature = text.rpartition(".")
        parts = content.split(".")
        key = self._keys.get(parts[1]) if len(parts) == 4 else None
        if key is None or not hmac.compare_digest(_sign(key, content, sale_id, ticket_id), signature):
            return None
        ready_ms = int(parts[3])
        return Proof(parts[2], ready_ms, ready_ms + GOOD_FOR_MS, is_pause=True)

    def _read_solution(self, text: str, sale_id: str) -> Proof | None:
        try:
            given = base64.b64decode(text, validate=True)
            payload = msgspec.json.decode(given, type=_Payload)
        except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        asked = payload.challenge.parameters
        key = self._keys.get(asked.data.kid)
        if key is None or asked.data.sale != sale_id:
            return None
        found = altcha.verify_solution(
            altcha.Payload.from_dict(msgspec.to_builtins(payload)),
            key,
            hmac_key_secret=_key_of_solutions(key),
        )
        if not found.verified:
            return None
        return Proof(asked.nonce, 0, asked.expires_at * 1000, is_pause=False)


def _key_of_solutions(key: bytes) -> bytes:
    """ALTCHA signs challenge and solution apart; one key must not do both."""
    return hmac.digest(key, b"firstcome-solution", hashlib.sha256)


def _sign(key: bytes, *parts: str) -> str:
    """Over the parts, each preceded by its length, so that no two contents are signed alike."""
    content = b"".join(len(raw).to_bytes(4) + raw for raw in (part.encode() for part in parts))
    mac = hmac.digest(key, b"firstcome-pause" + content, hashlib.sha256)
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
