"""The admission pass: an EdDSA JWT (RFC 8037) that anybody can verify with the published keys, without asking us.

Signing is deterministic: the same pass gives the same bytes, so a retried claim needs no stored token. Knows no Redis.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.types import Options

from waiting_room.refusals import InvalidToken

ALGORITHM = "EdDSA"
TYPE = "firstcome-pass+jwt"
# A pass is good a little before it was issued: the verifying machine's clock may be behind ours.
CLOCK_ALLOWANCE_S = 30
LONGEST_TOKEN = 2048
REMEMBERED = 10_000

_DECODING: Options = {
    "verify_exp": False,  # against the caller's time, below
    "verify_nbf": False,
    "verify_iat": False,
    "require": ["sale", "ticket", "sub", "iat", "nbf", "exp", "jti"],
}


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
    """Verifies passes locally. What was verified is remembered until it expires: the signature is the costly part."""

    def __init__(self, by_id: Mapping[str, bytes], *, remembered: int = REMEMBERED) -> None:
        self._keys = {kid: key.public_key() for kid, key in _private_keys(by_id).items()}
        self._known: OrderedDict[bytes, Pass] = OrderedDict()
        self._remembered = remembered

    @classmethod
    def of_jwks(cls, document: Any, *, remembered: int = REMEMBERED) -> Self:
        """A reader that has the published keys only, as `jwks` gives them. Raises ValueError for what is no key set."""
        reader = cls({}, remembered=remembered)
        reader._keys = _public_keys(document)
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
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header.get("kid", ""))
            if key is None or header.get("typ") != TYPE:
                raise InvalidToken("not a pass, or signed with a key that is not known")
            claims = jwt.decode(token, key, algorithms=[ALGORITHM], options=_DECODING)
        except (jwt.InvalidTokenError, RecursionError) as fault:  # a header of a thousand brackets recurses
            raise InvalidToken("not a pass of ours") from fault
        return _pass_of(claims, header["kid"])


def _pass_of(claims: dict[str, Any], kid: str) -> Pass:
    texts = [claims[name] for name in ("sale", "ticket", "sub", "jti")]
    times = [claims[name] for name in ("iat", "exp")]
    if not all(type(text) is str for text in texts) or not all(type(time) is int for time in times):
        raise InvalidToken("signed, but not a pass")
    sale_id, ticket_id, account_id, jti = texts
    iat, exp = times
    return Pass(sale_id, ticket_id, account_id, iat, exp, jti, kid)


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
