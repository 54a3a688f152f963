"""The tools that accounts work with, made once by whoever wires the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from shop.accounts.passwords import Hasher
from shop.vault import Lookup, Vault


@dataclass(frozen=True, slots=True)
class AccountKit:
    """`code_key` (32 bytes) keys one-time codes and the chain of refresh tokens; `refresh_life` is how long a family lives."""

    vault: Vault
    lookup: Lookup
    hasher: Hasher
    code_key: bytes = field(repr=False)
    refresh_life: timedelta = timedelta(days=30)
