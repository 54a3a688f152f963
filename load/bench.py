"""`make bench`: speed as ratios. Prints a table and writes load/results/bench.json.

    python -m load.bench                 everything, in about a quarter of an hour
    python -m load.bench --only poll     a part; the file keeps the other parts' figures

Every ratio comes from interleaved runs against a plain peer on the same machine at the same time (`load/figures.py`), and is the
median of at least three. docs/benchmarks.md explains each row. A figure that misses its goal is marked; it is no failure of the
command, a broken run is. Load goes to loopback only, and every process ends with this one.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import structlog

from firstcome.processes.serving import allow_many_connections
from load.figures import Figure, line_of, write
from load.generator import GeneratorFault
from load.rows import checkout, depth, draws, joins, lanes, line, polls, settling

RESULTS = Path(__file__).with_name("results") / "bench.json"

PARTS: dict[str, Callable[[float], Iterator[Figure]]] = {
    "generator": polls.generator_itself,
    "poll": polls.poll_against_empty_handler,
    "commands": polls.redis_commands,
    "idle": polls.with_idle_connections,
    "line": line.against_empty_handler,
    "join": joins.against_round_trip,
    "recovery": joins.recovery,
    "depth": depth.polls_and_depth,
    "tick": depth.ticks_and_memory,
    "draw": draws.opening,
    "lane": lanes.against_other_ways,
    "lanes": lanes.two_against_one,
    "accept": checkout.against_round_trip,
    "latency": checkout.until_decided,
    "settle": settling.against_bare_handler,
}


@click.command()
@click.option("--only", default="", help=f"Parts to run, separated by commas: {', '.join(PARTS)}.")
@click.option(
    "--out", default=RESULTS, type=click.Path(path_type=Path), help="Where the figures are written."
)
@click.option(
    "--scale", default=1.0, help="A part of all sizes, to see that everything runs; such figures say nothing."
)
def main(only: str, out: Path, scale: float) -> None:
    """Measure, print the table, write the figures down."""
    wanted = [name.strip() for name in only.split(",") if name.strip()] or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        raise click.BadParameter(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    allow_many_connections()
    # What the product's functions say while a stage is set is not for this table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    failed = [name for name in wanted if not _measure(name, out, scale)]
    click.echo(f"Written to {out}.")
    if failed:
        click.echo(f"Not measured to the end: {', '.join(failed)}", err=True)
        sys.exit(1)


def _measure(name: str, out: Path, scale: float) -> bool:
    """Run one part; whether it came to its end."""
    began = time.monotonic()
    figures: list[Figure] = []
    try:
        for figure in PARTS[name](scale):
            figures.append(figure)
            click.echo(line_of(figure))
    except GeneratorFault as fault:
        click.echo(f"{name}: {fault}", err=True)
        return False
    finally:
        write(figures, out)
    click.echo(f"     ({name}: {time.monotonic() - began:.0f} s)", err=True)
    return True


if __name__ == "__main__":
    main()
