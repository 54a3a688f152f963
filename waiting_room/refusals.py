"""The base errors of the waiting room and every refusal it knows. No HTTP words: the gateway's problems table maps them."""

from __future__ import annotations


class RoomError(Exception):
    """Base of everything that the waiting room raises on purpose."""


class RoomUnavailable(RoomError):
    """Redis does not answer, or a lost store has not been confirmed yet. Nothing was changed; try again."""

    def __init__(self, what: str, retry_after_s: int = 2) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after_s = retry_after_s


class Refused(RoomError):
    """The request is understood and is not granted; nothing was changed."""


class TooEarly(Refused):
    """The lobby has not opened yet."""


class ChallengeRequired(Refused):
    """A new place is given for a solved challenge only: the sale asks everybody, or this network is crowded."""


class ProofSpent(ChallengeRequired):
    """The challenge was solved, and has let somebody in before."""


class PauseTooSoon(ChallengeRequired):
    """Somebody of the same network has just come in by waiting; the pause stays good, `retry_after_s` later."""

    def __init__(self, what: str, retry_after_s: int = 20) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class LineClosed(Refused):
    """The sale takes no more joins: draining, closed or cancelled."""


class SoldOut(Refused):
    """Every unit is sold."""


class NoTicket(Refused):
    """This buyer holds no ticket in this sale."""


class NotCalled(Refused):
    """The ticket's turn has not been called, or is over."""


class NotCalledYet(Refused):
    """A claim before the call; `retry_after_s` says when to look again."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("this ticket has not been called yet")
        self.retry_after_s = retry_after_s


class TurnLapsed(Refused):
    """The turn was missed and its come-back time is over, or the place has ended."""


class AlreadyExtended(Refused):
    """The turn was extended once already."""


class OrderOpen(Refused):
    """The buyer has a live order; the place cannot be given up before the order ends."""


class Halted(Refused):
    """The operator has halted the sale."""


class InvalidToken(Refused):
    """A ticket, pass or receipt that is malformed, expired, of another kind or sale, or whose signature is wrong."""
