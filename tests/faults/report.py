"""The rounds as lines and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median

from tests.faults.rounds import Round

_HEAD = (
    "fault",
    "rounds",
    "missed",
    "accepted",
    "lost",
    "doubled",
    "inversions",
    "lasted",
    "decided again",
    "max",
    "paid again",
    "max",
)


def line(played: Round) -> str:
    """One round in a line, a further one for everything that was wrong."""
    verdict = played.verdict
    hits = "; ".join(
        f"at order {blow.order} " + (f"MISSED: {blow.missed}" if blow.missed else f"hit {blow.hit}")
        for blow in played.blows
    )
    words = [
        f"{played.name} ({hits}):",
        f"accepted {verdict.accepted}, lost {verdict.lost}, doubled {verdict.doubled},",
        f"inversions {verdict.inversions}, decided again within {played.recovery.decided_s:.1f} s,",
        f"paid again within {played.recovery.paid_s:.1f} s",
    ]
    wrong = [f"    WRONG (seed {played.seed}): {fault}" for fault in verdict.faults]
    return "\n".join([" ".join(words), *wrong])


def table(rounds: Sequence[Round]) -> str:
    """Per fault: rounds, those in which it found nothing to hit, accepted, lost, doubled, inversions, how long it stood and how long
    until all was well again, in seconds (median and most).
    """
    rows = [
        _HEAD,
        *(_row(name, list(played)) for name, played in groupby(_sorted(rounds), lambda played: played.name)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if column == 0 else word.rjust(width)
            for column, (word, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _row(name: str, rounds: Sequence[Round]) -> tuple[str, ...]:
    verdicts = [played.verdict for played in rounds]
    decided = [played.recovery.decided_s for played in rounds]
    paid = [played.recovery.paid_s for played in rounds]
    counts = (
        *(len(rounds), sum(played.missed for played in rounds)),
        *(sum(one.accepted for one in verdicts), sum(one.lost for one in verdicts)),
        *(sum(one.doubled for one in verdicts), sum(one.inversions for one in verdicts)),
    )
    seconds = (
        median(played.blows[-1].lasted_s for played in rounds),
        *_middle_and_most(decided),
        *_middle_and_most(paid),
    )
    return (name, *map(str, counts), *(f"{value:.1f}" for value in seconds))


def summary(rounds: Sequence[Round]) -> list[str]:
    """What is left to say, worst first; nothing when every law held and every fault has struck."""
    bad = [played for played in rounds if not played.verdict.good]
    struck = {played.name for played in rounds if not played.missed}
    never = dict.fromkeys(played.name for played in rounds if played.name not in struck)
    said = (
        [f"{len(bad)} of {len(rounds)} rounds broke a law: {', '.join(one.seed for one in bad)}"]
        if bad
        else []
    )
    return said + [f"Nothing is proven about {name}: it found nothing to hit." for name in never]


def _middle_and_most(seconds: Sequence[float]) -> tuple[float, float]:
    return median(seconds), max(seconds)


def _sorted(rounds: Sequence[Round]) -> list[Round]:
    first = {played.name: at for at, played in reversed(list(enumerate(rounds)))}
    return sorted(rounds, key=lambda played: first[played.name])
