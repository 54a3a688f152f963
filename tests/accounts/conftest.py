"""The tools of an installation, and a post office beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shop.accounts.kit import AccountKit
from shop.storage.database import Database
from tests.accounts.people import PostOffice, kit_of


@pytest.fixture
def kit() -> AccountKit:
    """Tools with one key."""
    return kit_of()


@pytest.fixture
def post(db: Database, kit: AccountKit, tmp_path: Path) -> PostOffice:
    """A post office without mails."""
    return PostOffice(db, kit, tmp_path / "mail")
