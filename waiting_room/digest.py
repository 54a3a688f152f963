"""The digest: what one process needs to answer the polls of a whole crowd without asking Redis. Pure: time comes in as an argument.

The leader writes it a few times a second (scripts/digest.lua): the places of the first 1,000 exactly, then some places from which the
ranks between follow to within half a per cent, and the sale around them. Beside it stand the numbers that are *gone*: given up without
ever having been called.

A ticket of the present store waits at its number, unless the number was called or is gone. So a number in the exact list waits, and
so does one behind it that is higher than all called ones and not gone. Everything else is asked in Redis, and so is whoever may
have been called since the digest was written: an answer from here is never one that a look at the line would have contradicted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property

from waiting_room.place import Around


class Digest(Around, frozen=True, kw_only=True, dict=True):
    """The line at the instant `now_ms` (unix ms, by Redis).

    `head` holds the lowest scores, `step_scores` some later ones with their ranks (0 is the first) in `step_ranks`, ending with the
    last; all rising. `now_serving` is the highest number called so far.
    """

    gate: str
    now_serving: int
    head: list[float]
    step_ranks: list[int]
    step_scores: list[float]

    @cached_property  # asked by each poll of a crowd
    def last_score(self) -> float:
        """The place of the last in line; 0 when nobody waits."""
        if self.step_scores:
            return self.step_scores[-1]
        return self.head[-1] if self.head else 0.0


@dataclass(frozen=True, slots=True)
class News:
    """What a process did not know yet: gone numbers, and the digest; None when it is `unchanged`, or when there is none.

    Before a draw, when no ticket shows a number, `gone` names the tickets.
    """

    gone: Sequence[int | str]
    digest: Digest | None
    unchanged: bool = False


def locate(digest: Digest, score: float) -> int | None:
    """How many stand before a score: exact among the first, within half a per cent of rank behind them.

    None when the score is not among the exact ones although it would belong there. Behind the last score: everybody.
    """
    head = digest.head
    if not head or score > digest.last_score:
        return digest.waiting
    return _among(head, score) if score <= head[-1] else _between(digest, score)


def _among(head: Sequence[float], score: float) -> int | None:
    at = bisect_left(head, float(score))  # float against float compares at half the cost of int against float
    return at if head[at] == score else None


def _between(digest: Digest, score: float) -> int:
    """By the two known places around it, as if those between were spread evenly."""
    scores, ranks = digest.step_scores, digest.step_ranks
    at = bisect_left(scores, float(score))
    if scores[at] == score:
        return ranks[at]
    below, low = (scores[at - 1], ranks[at - 1]) if at else (digest.head[-1], len(digest.head) - 1)
    inside = ranks[at] - low - 1
    if inside <= 0:
        return ranks[at]
    share = (score - below) / (scores[at] - below)
    return low + 1 + min(inside - 1, int(share * inside))


def waits_at(digest: Digest, score: float, gone: Container[float | str]) -> int | None:
    """How many stand before a ticket of the digest's own store; None when the digest cannot know that it waits."""
    head = digest.head
    if not head or score in gone or score > digest.last_score:
        return None
    if score <= head[-1]:
        return _among(head, score)
    return None if score <= digest.now_serving else _between(digest, score)


def callable_since(digest: Digest, age_ms: float) -> int:
    """How many of the first may have been called since a digest of this age was written."""
    if digest.gate != "open":
        return 0
    return 1 + int(digest.calls_per_minute * age_ms / 60_000)


def is_secret(digest: Digest) -> bool:
    """Whether a draw keeps all places secret still: then nothing is known of a ticket but that it waits."""
    return digest.draw not in ("", "drawn")
