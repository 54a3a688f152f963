"""What the payment stand-in has to be told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """`database`: its own small SQLite file. `public_url`: where browsers and the shop reach it, without a slash at the end.

    `callback_url` is where the shop takes callbacks; `webhook_secrets` are `whsec_…` texts and every callback is signed with
    each. `slow_s`: how long a slow payment takes; `late_s`: how long after its end a late one still succeeds.
    `retry_delays_s`: the pauses before each further delivery of a callback that the shop did not take.
    """

    database: Path
    public_url: str
    callback_url: str
    api_key: str
    webhook_secrets: tuple[str, ...]
    merchant: str = "firstcome demo shop"
    slow_s: float = 6.0
    late_s: float = 5.0
    callback_timeout_s: float = 10.0
    retry_delays_s: tuple[float, ...] = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 7200, 14400)
