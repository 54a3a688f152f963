"""`make bench` measures on servers of its own and leaves its figures behind; what they say is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from load.figures import Figure, interleave, median_ratio, write


def test_a_part_of_the_benchmarks_runs_from_end_to_end_and_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "load.bench", "--only", "tick", "--scale", "0.001", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    figures = {figure["name"]: figure for figure in json.loads(out.read_text())}
    assert figures.keys() == {"tick_p99_1m_vs_1k", "tick_of_1000_blocks", "bytes_per_ticket"}
    for name, figure in figures.items():
        assert figure.keys() == {"name", "value", "unit", "goal", "better", "detail"}
        assert figure["value"] > 0
        assert name in done.stdout


def test_an_unknown_part_is_named_with_those_that_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "load.bench", "--only", "nonsense"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "lane" in done.stderr


def test_takes_alternate_and_the_ratio_is_the_median_of_the_rounds() -> None:
    order: list[str] = []

    def take(name: str, value: float) -> float:
        order.append(name)
        return value * len(order)

    runs = interleave({"ours": lambda: take("ours", 2.0), "theirs": lambda: take("theirs", 1.0)}, rounds=3)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert runs == {"ours": [2.0, 8.0, 10.0], "theirs": [2.0, 3.0, 6.0]}
    assert median_ratio(runs["ours"], runs["theirs"]) == 10.0 / 6.0


def test_figures_of_parts_that_were_not_measured_now_stay(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    write([Figure("a", 1.0, "ratio", 1.0, "higher"), Figure("b", 1.0, "ms", None, "lower")], out)
    write([Figure("b", 2.0, "ms", None, "lower")], out)
    assert [(figure["name"], figure["value"]) for figure in json.loads(out.read_text())] == [
        ("a", 1.0),
        ("b", 2.0),
    ]
