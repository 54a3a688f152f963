"""`make chaos`: every fault, any number of rounds, on a whole running product; a table of what was lost, doubled and overtaken.

    python -m tests.faults.chaos --rounds 3 --seed 7
    python -m tests.faults.chaos --only "work-horse killed" --buyers 400 --lanes 6

Exits with 1 when any law was broken; the folder of that stage, with all logs and data, is then kept, and the next round has a stage
of its own. A fault that finds nothing to hit is passed over; one that never hit anything ends the run with 1 as well, and so does a
stage that does not start or end, whose round is reported as not played. The same seed plays the same rounds: the same faults, targets
and buyers, each blow at the same number of accepted orders. A run that is interrupted tells what it has played.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from firstcome.processes.serving import allow_many_connections
from tests.faults import (  # noqa: F401 - they register their faults
    bells,
    kills,
    losses,
    outside,
    report,
    stops,
    wires,
)
from tests.faults.crowd import Size
from tests.faults.rounds import Round, not_played, play
from tests.faults.scene import FAULTS, Fault
from tests.faults.stage import Stage, stage

# A sale stays live for hours after its end, and every live sale costs every controller something.
ROUNDS_A_STAGE = 8


@click.command()
@click.option("--rounds", default=1, help="How often every fault strikes.")
@click.option(
    "--seed",
    default="",
    help="Of everything that is left to chance; one is made up and printed if not given.",
)
@click.option("--only", default="", help="Names of faults, separated by commas; all if not given.")
@click.option("--buyers", default=240, help="How many buyers a round has.")
@click.option("--lanes", default=4, help="Over how many lanes they spread.")
@click.option(
    "--list", "only_list", is_flag=True, help="Name the faults and what each proves, and do nothing."
)
def main(rounds: int, seed: str, only: str, buyers: int, lanes: int, only_list: bool) -> None:
    """Strike again and again, and say what became of every accepted order."""
    faults = chosen(only)
    if only_list:
        for fault in faults:
            click.echo(f"{fault.name}: {fault.proves}")
        return
    seed = seed or str(random.SystemRandom().randrange(10**6))
    click.echo(f"seed {seed}: {rounds} rounds of {len(faults)} faults, {buyers} buyers, {lanes} lanes")
    allow_many_connections()
    played: list[Round] = []
    try:
        for one in _play_all(faults, rounds, seed, Size(buyers, lanes)):
            click.echo(report.line(one))
            played.append(one)
    finally:
        click.echo("\n" + report.table(played))
    wrong = report.summary(played)
    click.echo("\n" + "\n".join(wrong or ["Every law held."]))
    sys.exit(1 if wrong else 0)


def chosen(only: str) -> list[Fault]:
    """The faults of these names. Raises click's UsageError naming all that there are."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(FAULTS)
    if unknown := [name for name in names if name not in FAULTS]:
        raise click.UsageError(f"no fault is called {unknown[0]!r}; there are: {', '.join(FAULTS)}")
    return [FAULTS[name] for name in names]


def _play_all(faults: Sequence[Fault], rounds: int, seed: str, size: Size) -> Iterator[Round]:
    """Every fault once, then again; a fresh stage now and then, so that no stage has too many live sales."""
    to_play = deque((fault, f"{seed}/{fault.name}/{number}") for number in range(rounds) for fault in faults)
    while to_play:
        yield from _play_some(to_play, size)


def _play_some(to_play: deque[tuple[Fault, str]], size: Size) -> Iterator[Round]:
    """What one stage is good for: some rounds, or those until one went wrong, whose remains would be found in every later one.

    A stage that does not start takes the round that it was to be for with it.
    """
    folder = Path(tempfile.mkdtemp(prefix="fc-chaos-"))
    fault, its_seed = to_play[0]
    good, doing = False, "start"
    try:
        with stage(folder) as set_up:
            doing = "end"
            for _ in range(min(ROUNDS_A_STAGE, len(to_play))):
                fault, its_seed = to_play.popleft()
                one = _played(set_up, fault, its_seed, size)
                good = one.verdict.good
                yield one
                if not good:
                    break
    except Exception as error:  # noqa: BLE001 - it is reported, and the other rounds shall be played
        if doing == "start":
            to_play.popleft()
        good = False
        traceback.print_exception(error)
        yield not_played([fault], its_seed, f"the stage did not {doing}", error)
    finally:
        if good:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            click.echo(f"Logs and data of this stage are kept in {folder}.", err=True)


def _played(set_up: Stage, fault: Fault, its_seed: str, size: Size) -> Round:
    try:
        return play(set_up, [fault], size, its_seed)
    except Exception as error:  # noqa: BLE001 - it is reported with the round, and the others shall be played
        traceback.print_exception(error)
        return not_played([fault], its_seed, "the round broke off", error)


if __name__ == "__main__":
    main()
