"""Was the line fair? Counting over the copied call log: in which order numbers were called, how long people waited, who did not come.

Pure: rows in the order of the log go in one by one, figures come out. What is kept for a called ticket is one machine word.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shop.storage.columns import to_millis


@dataclass(frozen=True, slots=True)
class CallRow:
    """One event of the call log. `entry_id` is unique in the sale and sorts in its order; it ends with "." and the id of its store."""

    entry_id: str
    event: str
    ticket_id: str
    at: datetime
    number: int | None = None
    turn: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """Whole seconds from taking a number, or from the opening for those who came before it, to the first call. None without calls."""

    p50_s: int | None = None
    p90_s: int | None = None
    p99_s: int | None = None
    longest_s: int | None = None


class Numbers:
    """When numbers were given: `marks` are (highest number given so far, unix ms), ascending, noted about once a second.

    In a draw the first `lobby` numbers were given at the opening, and those of the marks count from there.
    """

    def __init__(self, marks: Sequence[tuple[int, int]], opened_ms: int, lobby: int = 0) -> None:
        self._given = array("q", (number for number, _ in marks))
        self._at_ms = array("q", (at_ms for _, at_ms in marks))
        self._opened_ms = opened_ms
        self._lobby = lobby

    @property
    def given(self) -> int:
        """The highest number that was given."""
        return self._lobby + (self._given[-1] if self._given else 0)

    def given_by(self, at_ms: int) -> int:
        """The highest number that is known to have been given by then."""
        seen = bisect_right(self._at_ms, at_ms)
        return self._lobby + (self._given[seen - 1] if seen else 0)

    def waiting_since_ms(self, number: int) -> int | None:
        """When its holder began to wait, None where nothing was noted."""
        if number <= self._lobby:
            return self._opened_ms
        first = bisect_left(self._given, number - self._lobby)
        return None if first == len(self._given) else max(self._opened_ms, self._at_ms[first])


class Turns:
    """Reads the log row by row. `listed` gives the ticket at a number of a draw's list, None in a FIFO sale."""

    def __init__(self, numbers: Numbers, listed: Callable[[int], str | None] | None = None) -> None:
        self._numbers = numbers
        self._listed = listed
        self._order = array("q")
        self._returned: set[str] = set()
        self._waited: Counter[int] = Counter()
        self._store: str | None = None
        self._lost_below = 0
        self._highest = 0
        self.calls = 0
        self.losses = 0
        self.back_after_loss = 0
        self.off_the_list = 0
        self.events: Counter[str] = Counter()

    @property
    def called(self) -> int:
        """Tickets that were called at least once."""
        return len(self._order) + self.back_after_loss

    def inversions(self) -> int:
        """Pairs of tickets of which the one with the higher number was called first."""
        return inversions(self._order)

    def waits(self) -> Waits:
        """How long the called ones had waited."""
        return waits_of(self._waited)

    def read(self, row: CallRow) -> None:
        """Take in the next row of the log."""
        self._note_store(row)
        self.events[row.event] += 1
        if row.event in ("miss", "lapse", "free"):
            self.events[f"{row.event} {(row.detail or '').partition(' ')[0]}"] += 1
        if row.event == "return":
            self._returned.add(row.ticket_id)
        elif row.event == "call":
            self._call(row)

    def _note_store(self, row: CallRow) -> None:
        store = row.entry_id.rpartition(".")[2]
        if store != self._store:
            if self._store is not None:
                self.losses += 1
                self._lost_below = self._numbers.given_by(to_millis(row.at))
            self._store = store

    def _call(self, row: CallRow) -> None:
        self.calls += 1
        if row.ticket_id in self._returned:  # the second turn of the same number, granted at its old place
            self._returned.discard(row.ticket_id)
            return
        number = row.number or 0
        # A ticket that a lost store had known is known again once its buyer comes back, perhaps after others were called.
        if number < self._highest and number <= self._lost_below:
            self.back_after_loss += 1
        else:
            self._order.append(number)
            self._highest = max(self._highest, number)
        listed = self._listed(number) if self._listed else None
        self.off_the_list += listed is not None and listed != row.ticket_id
        since_ms = self._numbers.waiting_since_ms(number)
        if since_ms is not None:
            self._waited[max(0, to_millis(row.at) - since_ms) // 1000] += 1


def waits_of(waited: Counter[int]) -> Waits:
    """What is said of waits that were counted by the second."""
    p50_s, p90_s, p99_s = (percentile(waited, share) for share in (50, 90, 99))
    return Waits(p50_s, p90_s, p99_s, max(waited, default=None))


def inversions(numbers: Sequence[int]) -> int:
    """Pairs (i, j), i < j, with numbers[i] > numbers[j]. O(n) where all is in order, else O(n log n) by merging; O(n) memory."""
    run, spare = array("q", numbers), array("q", numbers)
    found, width = 0, 1
    while width < len(run):
        for low in range(0, len(run), 2 * width):
            middle, high = min(low + width, len(run)), min(low + 2 * width, len(run))
            if middle == high or run[middle - 1] <= run[middle]:
                continue
            found += _merge(run, spare, low, middle, high)
        width *= 2
    return found


def _merge(run: array[int], spare: array[int], low: int, middle: int, high: int) -> int:
    """Merge two sorted neighbours; each number of the right one has overtaken what is left of the left one."""
    spare[low:high] = run[low:high]
    left, right, found = low, middle, 0
    for at in range(low, high):
        if left < middle and (right == high or spare[left] <= spare[right]):
            run[at] = spare[left]
            left += 1
        else:
            run[at] = spare[right]
            right += 1
            found += middle - left
    return found


def percentile(counted: Counter[int], share: int) -> int | None:
    """The smallest value that at least `share` % of all counted are not above (nearest rank); None without any."""
    wanted = -(-counted.total() * share // 100)
    for value in sorted(counted):
        wanted -= counted[value]
        if wanted <= 0:
            return value
    return None
