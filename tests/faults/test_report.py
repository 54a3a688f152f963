"""What `make chaos` says of its rounds: nothing that went wrong stands behind a clean row, and what was not played gives no figure."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from firstcome.servers import PrivateMariaDB
from tests.faults.chaos import main
from tests.faults.journal import Recovery
from tests.faults.report import line, summary, table
from tests.faults.rounds import Blow, Round, not_played
from tests.faults.scene import Fault
from tests.faults.verdict import Verdict

KILLED = Fault("worker killed", "", lambda _scene: "worker 7")
CUT = Fault("connections cut", "", lambda _scene: "80 connections")


def one(fault: Fault, verdict: Verdict, recovered_s: float = 2.0, missed: str = "") -> Round:
    blow = Blow(fault, 12, 0.0, 1.0, "" if missed else "it", missed)
    return Round(f"1/{fault.name}", [blow], Recovery(recovered_s, 2 * recovered_s), verdict)


def row(rounds: list[Round], name: str) -> str:
    """The figures of a fault's row."""
    (found,) = [text for text in table(rounds).splitlines() if text.startswith(name)]
    return " ".join(found.removeprefix(name).split())


GOOD = one(KILLED, Verdict(180, 0, 0, 0))
BROKEN = not_played([KILLED], "1/broken", "the stage did not start", OSError("no room"))


def test_counts_are_added_up_and_times_are_the_median_and_the_longest() -> None:
    slow = one(KILLED, Verdict(170, 0, 0, 0), recovered_s=5.0)
    cut = one(CUT, Verdict(90, 1, 2, 3))
    rounds = [GOOD, cut, slow, one(KILLED, Verdict(100, 0, 0, 0), recovered_s=3.0)]
    assert row(rounds, "worker killed") == "3 0 0 450 0 0 0 0 1.0 3.0 5.0 6.0 10.0"
    assert row(rounds, "in all") == "4 0 0 540 1 2 3 0"
    assert summary(rounds) == ["1 of 4 rounds broke a law: 1/connections cut"]


def test_books_that_do_not_agree_stand_in_the_table_too() -> None:
    off = one(KILLED, Verdict(180, 0, 0, 0, ["reconcile: one unit is nowhere", "a payment is off"]))
    assert row([GOOD, off], "worker killed").startswith("2 0 0 360 0 0 0 2 ")
    assert "WRONG (seed 1/worker killed): reconcile: one unit is nowhere" in line(off)


def test_a_round_that_was_not_played_or_struck_nothing_says_nothing_about_times() -> None:
    missed = one(KILLED, Verdict(180, 0, 0, 0), recovered_s=0.1, missed="there is no worker")
    assert row([BROKEN, missed, GOOD], "worker killed") == "3 1 1 360 0 0 0 1 1.0 2.0 2.0 4.0 4.0"
    assert row([BROKEN, missed], "worker killed").endswith(" – – – – –")
    assert summary([BROKEN, missed]) == [
        "1 of 2 rounds were not played to their end: 1/broken",
        "Nothing is proven about worker killed: it has struck in no round.",
    ]
    assert "NOT PLAYED" in line(BROKEN)


def test_a_stage_that_does_not_start_is_reported_and_the_next_one_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(PrivateMariaDB, "find", staticmethod(lambda: None))  # as where it is not installed
    said = CliRunner().invoke(main, ["--only", "nothing,worker killed", "--seed", "7"])
    assert said.exit_code == 1
    assert said.output.count("the stage did not start: ServerFault: mariadbd is not installed") == 2
    assert "2 of 2 rounds were not played to their end: 7/nothing/0, 7/worker killed/0" in said.output
