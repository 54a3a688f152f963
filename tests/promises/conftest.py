"""A sale and its books for the promises of the line, each on a Redis that has nothing else in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.promises.one_line import STOCK, Line
from tests.promises.one_sale import OneSale, settings_fields
from tests.promises.paper_books import PaperBooks


@pytest.fixture
async def sale(redis_async: Redis) -> OneSale:
    """A sale that runs."""
    return await OneSale(redis_async).begin()


@pytest.fixture
async def books(redis_async: Redis, redis_server: PrivateRedis, tmp_path: Path) -> AsyncIterator[PaperBooks]:
    """What a leader would keep in the database."""
    kept = PaperBooks(tmp_path / "books.sqlite", redis_server.url)
    yield kept
    await kept.close()


@pytest.fixture
async def line(redis_async: Redis, books: PaperBooks) -> Line:
    """A confirmed line. Its log is copied only when a test says so."""
    kept = Line(redis_async, books=books)
    books.open_sale(kept.sale_id, settings_fields(), STOCK)
    await kept.confirm()
    return kept
