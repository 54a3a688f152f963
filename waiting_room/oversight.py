"""What only operators watch of a line, beside its shared state: leaders, lane, counts of events, what a loss left. Values only."""

from __future__ import annotations

import msgspec


class Oversight(msgspec.Struct, frozen=True, kw_only=True):
    """What figures.lua answers. Moments are unix ms, 0 for never; counts are of the present store's life.

    `leader` is the leading controller's name, empty without one; `standby` how many others ask for the lead. `quiet_ms`: for so
    long nobody is called because a loss took the call log along; `unknown_slots` count as taken after a loss.
    """

    now_ms: int
    leader: str
    standby: int
    lane_depth: int
    lane_age_ms: int
    ticked_ms: int = 0
    lost_ms: int = 0
    settled_ms: int = 0
    unknown_slots: int = 0
    quiet_ms: int = 0
    calls: int = 0
    missed: int = 0
    lapsed: int = 0
    left: int = 0
