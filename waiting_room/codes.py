"""One-time codes: how a pass gets to another host without standing in a URL. Knows no HTTP.

A code is good for a minute and for whoever presents it first. What it stands for is kept under a hash of it, and holds what the
pass is made of rather than the signed pass, so that neither a code nor a pass can be read out of the store.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis

from waiting_room.collector import Collector
from waiting_room.keys import SaleKeys
from waiting_room.passes import Pass

LIFE_MS = 60_000
_CODE = re.compile(r"([0-9A-Za-z_-]{1,64})\.[0-9A-Za-z_-]{43}")


@dataclass(frozen=True, slots=True)
class Handover:
    """What a code stands for: the pass, and where its holder wants to go (the gateway's own, sealed text)."""

    admission: Pass
    to: str


class Codes:
    """Issues and redeems codes, one script each. Both raise RoomUnavailable; a code whose redeeming got no answer is spent."""

    def __init__(self, client: Redis, *, life_ms: int = LIFE_MS, within_s: float = 1.0) -> None:
        self._life_ms = life_ms
        self._scripts = Collector(client, within_s=within_s)

    async def issue(self, handover: Handover) -> str:
        """A fresh code, of up to 110 characters that need no quoting in a URL."""
        code = f"{handover.admission.sale_id}.{secrets.token_urlsafe(32)}"
        told = msgspec.json.encode(handover).decode()
        await self._scripts.run("lay_code", (_key(handover.admission.sale_id, code),), (told, self._life_ms))
        return code

    async def redeem(self, code: str) -> Handover | None:
        """What the code stands for, once; None for whatever is no code, or no longer one."""
        form = _CODE.fullmatch(code)
        if form is None:
            return None
        told = await self._scripts.run("take_code", (_key(form[1], code),), ())
        return msgspec.json.decode(told, type=Handover) if told else None


def _key(sale_id: str, code: str) -> str:
    return SaleKeys(sale_id).code(hashlib.sha256(code.encode()).hexdigest())
