"""What RQ calls, by name. A job carries no order: it only says where to look."""

from __future__ import annotations

from workers import deliver as outbox
from workers import drain as lane
from workers.runtime import current


def drain(sale_id: str) -> None:
    """Decide what waits in one lane."""
    lane.drain(current(), sale_id)


def deliver() -> None:
    """Carry out what is due in the outbox."""
    outbox.deliver(current())
