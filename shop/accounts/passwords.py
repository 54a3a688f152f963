"""Passwords, hashed by Argon2id. Slow on purpose: call it from a bounded pool, never inside a transaction."""

from __future__ import annotations

import secrets

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from shop.accounts.rules import PASSWORD_CHARS, normal_password


class Hasher:
    """Hashes and checks passwords. The defaults are OWASP's minimum; about 30 ms and `memory_kib` KiB for each call."""

    def __init__(self, *, memory_kib: int = 19_456, time_cost: int = 2, parallelism: int = 1) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism
        )
        # Checked when there is no account, so that the answer takes as long as if there were one.
        self._nobody = self.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """What to store: algorithm, parameters, salt and hash in one string."""
        return self._argon2.hash(normal_password(password).encode(errors="surrogatepass"))

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether this is the password. `stored` None (no such account) costs the same and is False."""
        # A longer one was never accepted; hashing it would only serve those who want to keep us busy.
        candidate = normal_password(password[: PASSWORD_CHARS.stop])
        try:
            self._argon2.verify(stored or self._nobody, candidate.encode(errors="surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(stored)
