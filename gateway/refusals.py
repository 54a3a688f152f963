"""What the gateway itself refuses, before anything below it is asked. The words of HTTP stand in `problems.py`, not here."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.bodies.problems import FieldFault


class GatewayRefused(Exception):
    """Base of every refusal that is decided in the gateway."""


class RetryLater(GatewayRefused):
    """Not now; `retry_after_s` says when it makes sense to ask again."""

    def __init__(self, what: str, retry_after_s: int = 2) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


# ---------------------------------------------------------------- who asks


class NotSignedIn(GatewayRefused):
    """No session, or one that is over or forged."""


class TwoIdentities(GatewayRefused):
    """A session cookie and a bearer token came together, so it is unclear who asks."""


class ForeignRequest(GatewayRefused):
    """A browser sent a change from another site, or without this session's CSRF token."""


class NotVerified(GatewayRefused):
    """The account's address has not been verified."""


class WrongRole(GatewayRefused):
    """The session is genuine and does not allow this."""


# ---------------------------------------------------------------- the gate


class NoPass(GatewayRefused):
    """The gate of a site opens with a pass of the sale that is good now."""


class UnknownSite(GatewayRefused):
    """The site is none of those that the settings name: nobody is led there."""


class CodeSpent(GatewayRefused):
    """A one-time code that is taken, over, for another site, or none at all."""


# ---------------------------------------------------------------- what is asked


class UnreadableBody(GatewayRefused):
    """The body is missing, or no JSON."""


class WrongMediaType(GatewayRefused):
    """The body is declared as something else than JSON."""


class BadFields(GatewayRefused):
    """The body is JSON and some of its fields cannot be used; `errors` lists every one."""

    def __init__(self, errors: Sequence[FieldFault]) -> None:
        super().__init__("some fields cannot be used")
        self.errors = list(errors)


class UnknownSale(GatewayRefused):
    """No sale of this name is listed."""


class UnknownProduct(GatewayRefused):
    """No product of this id is listed."""


class NoDraw(GatewayRefused):
    """This sale is not drawn."""


class NotDrawnYet(GatewayRefused):
    """Seed and list are not public yet."""


class NotOverYet(GatewayRefused):
    """The fairness report is public once the sale has ended."""


class IdempotencyKeyMissing(GatewayRefused):
    """The call needs an Idempotency-Key."""


class IdempotencyKeyMalformed(GatewayRefused):
    """The Idempotency-Key is empty, too long, or not made of visible ASCII characters."""


class NotAdmitted(GatewayRefused):
    """No pass, or one that does not open this checkout for this buyer."""


class IfMatchMissing(GatewayRefused):
    """The change does not say which version it was made from."""


class VersionStale(GatewayRefused):
    """Somebody else changed it since."""


# ---------------------------------------------------------------- not now


class TooManyPolls(RetryLater):
    """One ticket is asked about more often than any page would."""


class TooManyJoins(RetryLater):
    """One buyer joins more often than any person would."""


class TooManyAttempts(RetryLater):
    """One address or one client tries too often."""


class Overloaded(RetryLater):
    """The few threads for what blocks are busy, and their queue is full or does not move."""


class SnapshotStale(RetryLater):
    """The store behind the public pages has not answered for too long."""


class NotReady(RetryLater):
    """A dependency does not answer; `failing` names each that does not."""

    def __init__(self, failing: Sequence[str]) -> None:
        super().__init__("a dependency does not answer", retry_after_s=3)
        self.failing = list(failing)


class UnknownAction(GatewayRefused):
    """There is no such action."""


class Undecided(GatewayRefused):
    """The order stands in its lane: what is asked for can be done to a decided one only."""


class RehearsalBusy(RetryLater):
    """One rehearsal at a time."""


class RehearsalBrokeOff(GatewayRefused):
    """It took too long or could not be finished; nothing was changed."""
