"""A sale's own clock: how much of it passes between two ticks, and what its deadlines look like on a wall clock.

Turn windows, rate windows and slots count on the *sale clock*, come-back times on the *come-back clock*. Both live in Redis and move
by ticks only, so that an outage, a takeover or a step of a machine's clock costs nobody a turn. The sale clock stands still while the
sale is halted (a called buyer cannot claim then), the come-back clock while it is halted or paused. Reads no clock itself.
"""

from __future__ import annotations

LONGEST_STEP_MS = 1000


def step_ms(last_ms: int | None, now_ms: int) -> int:
    """How far a tick moves the clocks: the leader's monotonic time since its last tick.

    0 for the first tick of a leader (`last_ms` None), at most 1 s, never negative.
    """
    if last_ms is None:
        return 0
    return min(LONGEST_STEP_MS, max(0, now_ms - last_ms))


def on_the_wall(deadline_ms: int, clock_ms: int, wall_ms: int) -> int:
    """The wall time (unix ms) at which a running clock reaches its deadline, for display."""
    return wall_ms + max(0, deadline_ms - clock_ms)
