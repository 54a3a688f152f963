"""`make load` and `make load-10k`: a sale of its own, a crowd that goes through it, and the books afterwards.

    python -m load.run --buyers 200 --units 60 --rate 20
    python -m load.run --ten-thousand

Starts `firstcome demo` in a folder of its own, opens a sale, lets Locust drive the buyers' journey and ends with a table of the
journey and the books: sold + left = allotted, ledger = counters (`firstcome reconcile`), decisions in the order of acceptance,
calls in the order of the numbers. Exits with 1 when any of them is off. `--ten-thousand` sends 10,000 buyers with tokens, then the
scenario of comparable shops: 10,000 who sign in, fill a cart and order, arriving within 100 s and within 200 s; a sign-in that is
put off by 503 waits as Retry-After says and is counted apart. Load goes to loopback only and ends by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from firstcome.processes.serving import allow_many_connections
from load import people
from load.books import Books
from load.memory import Memory
from tests.running import RunningDemo


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who comes to what: `buyers` arrive at `rate` per second, `signing_in` of them by password, for `units` on sale."""

    name: str
    buyers: int
    units: int
    rate: float
    signing_in: int
    calls_per_minute: int = 6_000
    capacity: int = 200
    seconds: int = 180


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a crowd."""

    crowd: Crowd
    report: dict[str, Any]
    books: Books
    reconciled: subprocess.CompletedProcess[str]
    memory: Memory

    @property
    def good(self) -> bool:
        """Whether every law held, and every answer was a success or a refusal that the contract names."""
        return not (self.report["failures"] or self.books.faults or self.reconciled.returncode)


TEN_THOUSAND = (
    Crowd("10,000 with tokens, 1,000 units", 10_000, 1_000, 100, 0, 60_000, 1_000, 420),
    Crowd("10,000 sign in within 100 s", 10_000, 1_000, 100, 10_000, 60_000, 1_000, 600),
    Crowd("10,000 sign in within 200 s", 10_000, 1_000, 50, 10_000, 60_000, 1_000, 600),
)


@click.command()
@click.option("--buyers", default=200, help="How many people come.")
@click.option("--units", default=60, help="How many units are on sale.")
@click.option("--rate", default=20.0, help="How many buyers arrive per second.")
@click.option(
    "--signing-in", default=50, help="How many of them sign in by password; the others bring a token."
)
@click.option("--calls-per-minute", default=6000, help="The pace of the waiting room.")
@click.option("--capacity", default=200, help="How many may be in checkout at once.")
@click.option("--seconds", default=180, help="When to give up.")
@click.option("--ten-thousand", is_flag=True, help="The three crowds of 10,000 instead.")
def main(
    buyers: int,
    units: int,
    rate: float,
    signing_in: int,
    calls_per_minute: int,
    capacity: int,
    seconds: int,
    ten_thousand: bool,
) -> None:
    """Send a crowd through a sale and check the books."""
    allow_many_connections()
    one = Crowd("a crowd", buyers, units, rate, min(signing_in, buyers), calls_per_minute, capacity, seconds)
    outcomes = []
    for crowd in TEN_THOUSAND if ten_thousand else (one,):
        outcomes.append(_through_a_sale(crowd))
        _print(outcomes[-1])
    if not all(outcome.good for outcome in outcomes):
        sys.exit(1)


def _through_a_sale(crowd: Crowd) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="fc-load-") as name:
        folder = Path(name)
        demo = RunningDemo(folder / "demo")
        try:
            click.echo(f"{crowd.name}: starting a sale …")
            demo.start()
            who = people.with_passwords(demo, crowd.signing_in)
            who += people.with_tokens(demo, crowd.buyers - len(who)) if len(who) < crowd.buyers else []
            slug, _product = demo.open_sale(
                crowd.units, calls_per_minute=crowd.calls_per_minute, capacity=crowd.capacity
            )
            with Memory(demo.processes()) as memory:
                report = _drive(demo, folder, slug, who, crowd)
            books = demo.books(slug)
            return Outcome(crowd, report, books, demo.verb("reconcile"), memory)
        finally:
            demo.stop()


def _drive(
    demo: RunningDemo, folder: Path, slug: str, who: list[dict[str, str]], crowd: Crowd
) -> dict[str, Any]:
    """Run Locust in a process of its own; returns its report."""
    listed, report = folder / "buyers.jsonl", folder / "report.json"
    listed.write_text("\n".join(json.dumps(person) for person in who), "utf-8")
    command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py"))]
    command += ["--headless", "--only-summary", "--host", demo.url, "--loglevel", "WARNING"]
    command += ["-u", str(crowd.buyers), "-r", str(crowd.rate), "-t", f"{crowd.seconds}s"]
    command += ["--exit-code-on-error", "0"]
    own = {
        "FIRSTCOME_LOAD_SALE": slug,
        "FIRSTCOME_LOAD_BUYERS": str(listed),
        "FIRSTCOME_LOAD_REPORT": str(report),
    }
    with (folder / "locust.log").open("wb") as log:
        subprocess.run(
            command,
            env={**os.environ, **own},
            stdout=log,
            stderr=log,
            check=True,
            timeout=crowd.seconds + 120,
        )
    return dict(json.loads(report.read_text("utf-8")))


def _print(outcome: Outcome) -> None:
    report = outcome.report
    sold_out = report["sold_out_s"]
    click.echo(f"\n{outcome.crowd.name}: {report['seconds']:.0f} s, failures {report['failures']}")
    click.echo(f"sold out after {sold_out:.1f} s" if sold_out else "not sold out")
    click.echo(f"endings: {report['endings']}")
    click.echo(f"put off by 503 and come again: {report['put_off'] or 'nobody'}")
    click.echo(f"  {'step':<14} {'count':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}")
    for name, step in report["steps"].items():
        click.echo(
            f"  {name:<14} {step['count']:>8} {step['p50_ms']:>8} {step['p95_ms']:>8} {step['p99_ms']:>8}"
        )
    click.echo(outcome.memory.as_text(outcome.books.decided))
    click.echo(outcome.books.as_text())
    reconciled = outcome.reconciled
    click.echo(
        "reconcile: "
        + ("the books add up" if not reconciled.returncode else reconciled.stdout + reconciled.stderr)
    )


if __name__ == "__main__":
    main()
