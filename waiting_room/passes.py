"""The admission pass: an EdDSA JWT (RFC 8037) that anybody can verify with the published keys, without asking us.

Signing is deterministic: the same pass gives the same bytes, so a retried claim needs no stored token. Knows no Redis.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import jwt
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from waiting_room.refusals import InvalidToken

ALGORITHM = "EdDSA"
TYPE = "firstcome-pass+jwt"
# A pass is good a little before it was issued: the verifying machine's clock may be behind ours.
CLOCK_ALLOWANCE_S = 30
LONGEST_TOKEN = 2048
REMEMBERED = 10_000

# Whether a signature is the one of a key for a text.
_Check = Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Pass:
    """One buyer's admission to checkout. `iat`, `nbf`, `exp` in unix seconds; `jti` is ticket id "." turn."""

    sale_id: str
    ticket_id: str
    account_id: str
    iat: int
    exp: int
    jti: str
    kid: str

    @property
    def nbf(self) -> int:
        return self.iat - CLOCK_ALLOWANCE_S


class PassSigner:
    """Signs with any key of the ring; `active` is the one for new passes. Keys are 32-byte Ed25519 seeds."""

    def __init__(self, active: str, by_id: Mapping[str, bytes]) -> None:
        self.active = active
        self._keys = _private_keys(by_id)

    def sign(self, admission: Pass) -> str:
        """The token of a pass, the same bytes every time. Raises KeyError for a key id that the ring does not have."""
        claims = {
            "sale": admission.sale_id,
            "ticket": admission.ticket_id,
            "sub": admission.account_id,
            "iat": admission.iat,
            "nbf": admission.nbf,
            "exp": admission.exp,
            "jti": admission.jti,
        }
        headers = {"kid": admission.kid, "typ": TYPE}
        return jwt.encode(claims, self._keys[admission.kid], algorithm=ALGORITHM, headers=headers)


class PassReader:
    """Verifies passes locally. What was verified is remembered until it expires: the signature is the costly part.

    Whoever holds the keys signs the text once more and compares, which takes a third of the time: Ed25519 signs deterministically,
    so that the signer's own signature is the only one a pass of ours can have.
    """

    def __init__(self, by_id: Mapping[str, bytes], *, remembered: int = REMEMBERED) -> None:
        self._keys = {kid: _by_signing(key) for kid, key in _private_keys(by_id).items()}
        self._by_header = {_header(kid): kid for kid in self._keys}
        self._known: OrderedDict[bytes, Pass] = OrderedDict()
        self._remembered = remembered

    @classmethod
    def of_jwks(cls, document: Any, *, remembered: int = REMEMBERED) -> Self:
        """A reader that has the published keys only, as `jwks` gives them. Raises ValueError for what is no key set."""
        reader = cls({}, remembered=remembered)
        reader._keys = {kid: _by_verifying(key) for kid, key in _public_keys(document).items()}
        reader._by_header = {_header(kid): kid for kid in reader._keys}
        return reader

    def knows(self, token: str) -> bool:
        """Whether the token names a key that this reader has; what else may be wrong with it is not looked at."""
        try:
            return jwt.get_unverified_header(token).get("kid", "") in self._keys
        except (jwt.InvalidTokenError, RecursionError, TypeError):
            return True  # no token at all: other keys would not make it one

    def read(self, token: str, now_ms: int) -> Pass:
        """The pass that a token carries, good at `now_ms` (unix ms). Raises InvalidToken for everything else."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise InvalidToken("not a pass")
        mark = hashlib.sha256(token.encode()).digest()
        admission = self._known.get(mark)
        if admission is None:
            admission = self._verified(token)
            self._remember(mark, admission)
        if now_ms >= admission.exp * 1000:
            self._known.pop(mark, None)
            raise InvalidToken("the pass has expired")
        if now_ms < admission.nbf * 1000:
            raise InvalidToken("the pass is not good yet")
        return admission

    def _remember(self, mark: bytes, admission: Pass) -> None:
        self._known[mark] = admission
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)

    def _verified(self, token: str) -> Pass:
        """Everything that we sign begins with one of a few headers, which name algorithm, kind and key; no other is looked into."""
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        kid = self._by_header.get(header)
        if kid is None:
            raise InvalidToken("not a pass, or signed with a key that is not known")
        try:
            if not self._keys[kid](signed.encode(), _bytes(signature)):
                raise InvalidToken("not a pass of ours")
            claims = _decode(_bytes(payload))
        except (ValueError, msgspec.DecodeError) as fault:
            raise InvalidToken("not a pass of ours") from fault
        return Pass(claims.sale, claims.ticket, claims.sub, claims.iat, claims.exp, claims.jti, kid)


class _Claims(msgspec.Struct, frozen=True, gc=False):
    """What a pass says."""

    sale: str
    ticket: str
    sub: str
    iat: int
    nbf: int
    exp: int
    jti: str


_decode = msgspec.json.Decoder(_Claims).decode


def _header(kid: str) -> str:
    """What all passes that are signed by a key begin with; the members stand in the order of their names."""
    text = msgspec.json.encode({"alg": ALGORITHM, "kid": kid, "typ": TYPE})
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _by_signing(key: Ed25519PrivateKey) -> _Check:
    return lambda text, signature: hmac.compare_digest(key.sign(text), signature)


def _by_verifying(key: Ed25519PublicKey) -> _Check:
    def check(text: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    return check


def jwks(by_id: Mapping[str, bytes]) -> dict[str, list[dict[str, str]]]:
    """The public keys as a JSON Web Key Set, for everybody who verifies passes."""
    return {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": ALGORITHM,
                "use": "sig",
                "kid": kid,
                "x": _x(key.public_key()),
            }
            for kid, key in _private_keys(by_id).items()
        ]
    }


def _public_keys(document: Any) -> dict[str, Ed25519PublicKey]:
    """The keys of a JSON Web Key Set that verify passes; keys of other kinds are passed over."""
    try:
        ours = [key for key in document["keys"] if (key["kty"], key.get("crv")) == ("OKP", "Ed25519")]
        return {str(key["kid"]): Ed25519PublicKey.from_public_bytes(_bytes(key["x"])) for key in ours}
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError("not a JSON Web Key Set") from fault


def _private_keys(by_id: Mapping[str, bytes]) -> dict[str, Ed25519PrivateKey]:
    return {kid: Ed25519PrivateKey.from_private_bytes(seed) for kid, seed in by_id.items()}


def _x(key: Ed25519PublicKey) -> str:
    return base64.urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode()


def _bytes(x: str) -> bytes:
    return base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
