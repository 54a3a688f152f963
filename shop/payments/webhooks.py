"""Standard Webhooks, strictly: making and checking the three headers of a signed callback.

Source: the Standard Webhooks specification (https://www.standardwebhooks.com). The signed content is `<id>.<timestamp>.<body>`,
a signature is `v1,` and the base64 of its HMAC-SHA256, and the header may carry several, so that secrets can be rotated without
a gap. Whatever a stranger puts into the headers, the only refusal is `BadSignature`. Knows nothing of payments, HTTP or JSON.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from shop.payments.rules import BadSignature

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE_S = 300

SECRET_PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)

# The full stop separates the signed parts, so an id that has one could be read in two ways.
_EVENT_ID = re.compile(r"[!-\-/-~]{1,128}")
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}")
_SIGNATURES = re.compile(r"[!-~]{1,128}( [!-~]{1,128}){0,15}")


def read_secrets(texts: Sequence[str]) -> tuple[bytes, ...]:
    """The keys behind `whsec_…` texts. ValueError names what is wrong, never the secret."""
    if not texts:
        raise ValueError("at least one webhook secret is needed")
    return tuple(_read_secret(text) for text in texts)


def _read_secret(text: str) -> bytes:
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"a webhook secret starts with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a webhook secret is base64 after {SECRET_PREFIX}") from None
    if len(key) not in SECRET_BYTES:
        raise ValueError("a webhook secret holds 24 to 64 bytes")
    return key


def sign(event_id: str, sent_at_s: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers for a callback that is sent at `sent_at_s` (unix seconds), signed with every key."""
    return {
        ID_HEADER: event_id,
        TIMESTAMP_HEADER: str(sent_at_s),
        SIGNATURE_HEADER: " ".join(_signature(event_id, str(sent_at_s), body, key) for key in keys),
    }


def verify(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: datetime) -> str:
    """The event id of a callback that one of the keys has signed within the last (or next) 300 s. Raises BadSignature.

    `headers` are asked by lower-case names.
    """
    event_id = _header(headers, ID_HEADER, _EVENT_ID)
    timestamp = _header(headers, TIMESTAMP_HEADER, _TIMESTAMP)
    signatures = _header(headers, SIGNATURE_HEADER, _SIGNATURES)
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_S:
        raise BadSignature("the callback's timestamp is too far from now")
    # Comparing texts instead of decoded bytes leaves base64 one spelling only. Every pair is compared, whichever matches.
    given = [signature.encode("ascii") for signature in signatures.split(" ")]
    expected = [_signature(event_id, timestamp, body, key).encode("ascii") for key in keys]
    if sum([hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]) == 0:
        raise BadSignature("no signature matches")
    return event_id


def _header(headers: Mapping[str, str], name: str, shape: re.Pattern[str]) -> str:
    value = headers.get(name)
    if value is None or shape.fullmatch(value) is None:
        raise BadSignature(f"the header {name} is missing or malformed")
    return value


def _signature(event_id: str, timestamp: str, body: bytes, key: bytes) -> str:
    digest = hmac.new(key, f"{event_id}.{timestamp}.".encode("ascii") + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")
