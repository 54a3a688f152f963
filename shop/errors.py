"""The base errors of the shop. Each subject documents its own refusals as subclasses in its `rules.py`.

Knows no HTTP: the gateway's problems table turns a refusal into an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ShopError(Exception):
    """Base of everything that the shop raises on purpose."""


class Refused(ShopError):
    """The request is understood and is not granted; nothing was changed."""


class Unavailable(ShopError):
    """A dependency (database, provider) does not answer or stays contended; the caller may try again.

    `retry_after_s` is a hint in seconds.
    """

    def __init__(self, what: str, retry_after_s: int = 2) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after_s = retry_after_s


class IllegalMove(Refused):
    """A state machine was asked for a move that its table does not have."""

    def __init__(self, subject: str, current: str, wanted: str) -> None:
        super().__init__(f"{subject} cannot move from {current} to {wanted}")
        self.subject = subject
        self.current = current
        self.wanted = wanted


class LaneTaken(ShopError):
    """Another worker is deciding the orders of this sale right now; there is nothing to do."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field, in words for the person who filled it in."""

    field: str
    message: str


class InvalidFields(Refused):
    """Some fields cannot be taken; `faults` names every one of them at once. Never repeats what was entered."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        super().__init__("fields not accepted: " + ", ".join(fault.field for fault in faults))
        self.faults = tuple(faults)
