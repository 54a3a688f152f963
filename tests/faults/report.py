"""The rounds as lines and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median

from tests.faults.rounds import Round

_HEAD = (
    "fault",
    "rounds",
    "not played",
    "missed",
    "accepted",
    "lost",
    "doubled",
    "inversions",
    "wrong",
    "lasted",
    "decided again",
    "max",
    "paid again",
    "max",
)
_TIMES = 5  # columns of seconds, the last ones
_NO_FIGURE = "–"


def line(one: Round) -> str:
    """One round in a line, a further one for everything that was wrong."""
    wrong = [f"    WRONG (seed {one.seed}): {fault}" for fault in one.verdict.faults]
    return "\n".join([_figures(one) if one.played else f"{one.name}: NOT PLAYED", *wrong])


def _figures(one: Round) -> str:
    verdict = one.verdict
    hits = "; ".join(
        f"at order {blow.order} " + (f"MISSED: {blow.missed}" if blow.missed else f"hit {blow.hit}")
        for blow in one.blows
    )
    words = [
        f"{one.name} ({hits}):",
        f"accepted {verdict.accepted}, lost {verdict.lost}, doubled {verdict.doubled},",
        f"inversions {verdict.inversions}, decided again within {one.recovery.decided_s:.1f} s,",
        f"paid again within {one.recovery.paid_s:.1f} s",
    ]
    return " ".join(words)


def table(rounds: Sequence[Round]) -> str:
    """Per fault, and for all together: rounds that were begun, those that never came to their end, those in which the fault found
    nothing to hit; accepted, lost, doubled, inversions, and how many other things were wrong. Then, of the rounds in which it
    struck: how long it stood (median) and how long until all was well again, in seconds (median and most).
    """
    rows = [
        _HEAD,
        *(_row(name, list(of_one)) for name, of_one in groupby(_sorted(rounds), lambda one: one.name)),
    ]
    if len(rows) > 2:
        rows.append((*_counts("in all", rounds), *[""] * _TIMES))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if column == 0 else word.rjust(width)
            for column, (word, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(name: str, rounds: Sequence[Round]) -> tuple[str, ...]:
    struck = _struck(rounds)
    if not struck:
        return (*_counts(name, rounds), *[_NO_FIGURE] * _TIMES)
    seconds = (
        median(one.blows[-1].lasted_s for one in struck),
        *_middle_and_most([one.recovery.decided_s for one in struck]),
        *_middle_and_most([one.recovery.paid_s for one in struck]),
    )
    return (*_counts(name, rounds), *(f"{value:.1f}" for value in seconds))


def _counts(name: str, rounds: Sequence[Round]) -> tuple[str, ...]:
    verdicts = [one.verdict for one in rounds]
    counts = (
        len(rounds),
        sum(not one.played for one in rounds),
        sum(one.missed for one in rounds),
        sum(one.accepted for one in verdicts),
        sum(one.lost for one in verdicts),
        sum(one.doubled for one in verdicts),
        sum(one.inversions for one in verdicts),
        sum(len(one.faults) for one in verdicts),
    )
    return (name, *map(str, counts))


def summary(rounds: Sequence[Round]) -> list[str]:
    """What is left to say, worst first; nothing when every law held and every fault has struck."""
    bad = [one for one in rounds if one.played and not one.verdict.good]
    unplayed = [one for one in rounds if not one.played]
    struck = {one.name for one in _struck(rounds)}
    never = dict.fromkeys(one.name for one in rounds if one.name not in struck)
    said = []
    if bad:
        said.append(f"{len(bad)} of {len(rounds)} rounds broke a law: {', '.join(one.seed for one in bad)}")
    if unplayed:
        said.append(
            f"{len(unplayed)} of {len(rounds)} rounds were not played to their end:"
            f" {', '.join(one.seed for one in unplayed)}"
        )
    return said + [f"Nothing is proven about {name}: it has struck in no round." for name in never]


def _struck(rounds: Sequence[Round]) -> list[Round]:
    return [one for one in rounds if one.played and not one.missed]


def _middle_and_most(seconds: Sequence[float]) -> tuple[float, float]:
    return median(seconds), max(seconds)


def _sorted(rounds: Sequence[Round]) -> list[Round]:
    first = {one.name: at for at, one in reversed(list(enumerate(rounds)))}
    return sorted(rounds, key=lambda one: first[one.name])
