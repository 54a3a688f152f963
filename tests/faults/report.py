"""The rounds as lines and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median

from tests.faults.rounds import Round

_HEAD = (
    "fault",
    "rounds",
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
    hits = "; ".join(f"at order {blow.order} hit {blow.hit}" for blow in played.blows)
    words = [
        f"{played.name} ({hits}):",
        f"accepted {verdict.accepted}, lost {verdict.lost}, doubled {verdict.doubled},",
        f"inversions {verdict.inversions}, decided again within {played.recovery.decided_s:.1f} s,",
        f"paid again within {played.recovery.paid_s:.1f} s",
    ]
    wrong = [f"    WRONG (seed {played.seed}): {fault}" for fault in verdict.faults]
    return "\n".join([" ".join(words), *wrong])


def table(rounds: Sequence[Round]) -> str:
    """Per fault: rounds, accepted, lost, doubled, inversions, how long it stood and how long until all was well again, in
    seconds (median and most)."""
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
        *(len(rounds), sum(one.accepted for one in verdicts), sum(one.lost for one in verdicts)),
        *(sum(one.doubled for one in verdicts), sum(one.inversions for one in verdicts)),
    )
    seconds = (
        median(played.blows[-1].lasted_s for played in rounds),
        *_middle_and_most(decided),
        *_middle_and_most(paid),
    )
    return (name, *map(str, counts), *(f"{value:.1f}" for value in seconds))


def _middle_and_most(seconds: Sequence[float]) -> tuple[float, float]:
    return median(seconds), max(seconds)


def _sorted(rounds: Sequence[Round]) -> list[Round]:
    first = {played.name: at for at, played in reversed(list(enumerate(rounds)))}
    return sorted(rounds, key=lambda played: first[played.name])
