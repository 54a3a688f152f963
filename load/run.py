"""`make load`: a sale of its own, a crowd that goes through it, and the books afterwards.

    python -m load.run --buyers 200 --units 60 --rate 20

Starts `firstcome demo` in a folder of its own, opens a sale, lets Locust drive the buyers' journey and ends with a table of the
journey and the books: sold + left = allotted, ledger = counters (`firstcome reconcile`), decisions in the order of acceptance,
calls in the order of the numbers. Exits with 1 when any of them is off. Load goes to loopback only and ends by itself.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from load.books import Books
from tests.running import DEMO_PASSWORD, RunningDemo

PASSWORD_BUYERS = 50  # the demo's buyers who sign in by password; all others bring a token


@click.command()
@click.option("--buyers", default=200, help="How many people come.")
@click.option("--units", default=60, help="How many units are on sale.")
@click.option("--rate", default=20.0, help="How many buyers arrive per second.")
@click.option("--calls-per-minute", default=6000, help="The pace of the waiting room.")
@click.option("--capacity", default=200, help="How many may be in checkout at once.")
@click.option("--seconds", default=180, help="When to give up.")
def main(buyers: int, units: int, rate: float, calls_per_minute: int, capacity: int, seconds: int) -> None:
    """Send a crowd through a sale and check the books."""
    _raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="fc-load-") as name:
        folder = Path(name)
        demo = RunningDemo(folder / "demo")
        try:
            click.echo("starting a sale …")
            demo.start()
            slug, _product = demo.open_sale(units, calls_per_minute=calls_per_minute, capacity=capacity)
            report = _crowd(demo, folder, slug, buyers, rate, seconds)
            books = demo.books(slug)
            reconciled = demo.verb("reconcile")
        finally:
            demo.stop()
    _print(report, books, buyers, reconciled)
    if report["failures"] or books.faults or reconciled.returncode:
        sys.exit(1)


def _raise_file_limit() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _crowd(
    demo: RunningDemo, folder: Path, slug: str, buyers: int, rate: float, seconds: int
) -> dict[str, Any]:
    """Run Locust in a process of its own; returns its report."""
    tokens = demo.verb("demo-tokens", "--count", str(buyers)).stdout.splitlines()
    by_password = [
        {"email": json.loads(line)["email"], "password": DEMO_PASSWORD} for line in tokens[:PASSWORD_BUYERS]
    ]
    people = by_password + [json.loads(line) for line in tokens[PASSWORD_BUYERS:]]
    listed, report = folder / "buyers.jsonl", folder / "report.json"
    listed.write_text("\n".join(json.dumps(person) for person in people), "utf-8")
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(Path(__file__).with_name("locustfile.py")),
        "--headless",
        "--only-summary",
    ]
    command += [
        "-u",
        str(buyers),
        "-r",
        str(rate),
        "-t",
        f"{seconds}s",
        "--host",
        demo.url,
        "--loglevel",
        "WARNING",
    ]
    command += ["--exit-code-on-error", "0"]
    own = {
        "FIRSTCOME_LOAD_SALE": slug,
        "FIRSTCOME_LOAD_BUYERS": str(listed),
        "FIRSTCOME_LOAD_REPORT": str(report),
    }
    subprocess.run(command, env={**os.environ, **own}, check=True, timeout=seconds + 60)
    return dict(json.loads(report.read_text("utf-8")))


def _print(
    report: dict[str, Any], books: Books, buyers: int, reconciled: subprocess.CompletedProcess[str]
) -> None:
    click.echo(f"buyers {buyers}, endings {report['endings']}, failures {report['failures']}")
    click.echo(books.as_text())
    click.echo(
        "reconcile: "
        + ("the books add up" if not reconciled.returncode else reconciled.stdout + reconciled.stderr)
    )


if __name__ == "__main__":
    main()
