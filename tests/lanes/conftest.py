"""The Redis that comes in a Python package, beside the installed one: scripts must run on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firstcome.servers import EmbeddedRedis


@pytest.fixture(scope="session")
def embedded_server(servers_dir: Path) -> Iterator[EmbeddedRedis]:
    """A private Redis 6.2."""
    with EmbeddedRedis(servers_dir / "embedded") as server:
        yield server
