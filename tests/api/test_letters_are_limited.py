"""Whoever asks for many letters is slowed down, by network and by mail address, whether or not an address is known."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select

from firstcome.settings import Settings
from gateway.bounded import LetterLimiter
from shop.storage.tables import outbox
from tests.api.conftest import House, open_house


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """A gateway behind a trusted proxy that lets three letters of a network and two of an address out."""
    async with open_house(settings.model_copy(update={"trusted_proxies": ("127.0.0.1/32",)})) as here:
        here.services.letters = LetterLimiter(per_address=2, per_network=3)
        yield here


def letters(house: House) -> int:
    return int(house.services.db.read(lambda tx: tx.scalar(select(func.count()).select_from(outbox))))


async def ask(house: House, path: str, email: str, address: str) -> int:
    bodies = {
        "/accounts": {"email": email, "password": "a-password-for-tests", "name": "Kim"},
        "/accounts/password-reset": {"email": email},
    }
    headers = {"X-Forwarded-For": address} if address else {}
    answer = await house.client.post(f"/api/v1{path}", json=bodies[path], headers=headers)
    if answer.status_code == 429:
        assert answer.json()["code"] == "too_many_attempts"
        assert 1 <= int(answer.headers["retry-after"]) <= 600
    return answer.status_code


@pytest.mark.parametrize("path", ["/accounts", "/accounts/password-reset"])
async def test_a_network_and_an_address_have_their_share(house: House, path: str) -> None:
    known = (await house.buyer()).email
    network = ("9.9.9.1", "9.9.9.2", "9.9.9.3", "9.9.9.4")
    answers = [await ask(house, path, f"new{n}@example.test", network[n]) for n in range(4)]
    assert answers == [202, 202, 202, 429]
    before = letters(house)
    assert await ask(house, path, known, "9.9.9.77") == 429
    assert letters(house) == before
    for email in (known, "unknown@example.test"):
        assert [await ask(house, path, email, f"9.9.{n}.1") for n in range(3)] == [202, 202, 429]


async def test_who_seems_to_come_from_a_proxy_is_not_counted_with_everybody(house: House) -> None:
    answers = [await ask(house, "/accounts", f"new{n}@example.test", "") for n in range(6)]
    assert answers == [202] * 6
