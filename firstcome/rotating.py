"""The verb `keys rotate`: after a new key was put in front, everything that is kept sealed is sealed with it."""

from __future__ import annotations

from dataclasses import dataclass

from firstcome import wiring
from firstcome.settings import Settings
from shop.accounts.rotation import reseal
from shop.sales.reading import sales_of_keys


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many rows were sealed anew with the key `active`, and the sales (slugs) that need each older key still."""

    active: str
    rows: int
    needed: dict[str, list[str]]


def rotate(settings: Settings) -> Rotated:
    """Seal anew, while the shop is open; repeating it is harmless. Raises `Unavailable`, or `Unreadable` for a key that is missing."""
    db, kit, keyring = wiring.database(settings), wiring.account_kit(settings), settings.keyring
    try:
        rows = reseal(db, kit.vault, kit.lookup)
        needed = sales_of_keys(db, [key_id for key_id in keyring.keys if key_id != keyring.active])
        return Rotated(keyring.active, rows, needed)
    finally:
        db.dispose()
