"""The id of an order: the same request has the same id, wherever and however often it arrives."""

from __future__ import annotations

import base64
import hashlib
import hmac


def order_id_for(key: bytes, sale_id: str, account_id: str, idempotency_key: str) -> str:
    """22 url-safe characters: 16 bytes of HMAC-SHA256 over (sale, account, Idempotency-Key), each with its length before it."""
    parts = [part.encode() for part in ("order", sale_id, account_id, idempotency_key)]
    content = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")
