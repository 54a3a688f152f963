"""What can be read of how fair a sale was."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.base import Body


class WaitsBody(Body, frozen=True, omit_defaults=False):
    """Whole seconds from taking a number, or from the opening for those who came before it, to the first call; null without calls."""

    p50_s: int | None
    p90_s: int | None
    p99_s: int | None
    longest_s: int | None


class DecisionsBody(Body, frozen=True):
    """Decided orders; `inversions`: pairs of them that were decided in another order than they were accepted in."""

    decided: int
    inversions: int
    by_state: dict[str, int]


class ActionBody(Body, frozen=True):
    """One thing that an operator did to the sale; who it was and what exactly is shown to operators alone."""

    action: str
    at: datetime
    operator: str | None = None
    detail: dict[str, object] | None = None


class FairnessBody(Body, frozen=True):
    """Tickets against calls against decisions. `tickets`: the highest number given; after a loss of Redis (`losses`) counting goes on above
    all that may have been given. `inversions`: pairs of tickets of which the higher number was called first; tickets that came back
    after a loss, when others had been called, count as `back_after_loss` instead. `off_the_list`: tickets of a draw that were called
    at another place than the list gives them. `whole_until`: the log is complete up to then.
    """

    sale: str
    title: str
    mode: str
    ended: bool
    tickets: int
    called: int
    calls: int
    inversions: int
    losses: int
    back_after_loss: int
    waits: WaitsBody
    claimed: int
    returned: int
    left: int
    no_shows: int
    missed: dict[str, int]
    lapsed: dict[str, int]
    decisions: DecisionsBody
    actions: list[ActionBody]
    as_of: datetime
    whole_until: datetime | None = None
    off_the_list: int | None = None
