"""Any single process killed -9 in the middle of a busy sale: the sale goes on, nothing lost, nothing doubled, nobody overtaken."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest

from tests.faults.crowd import assert_sold_out, crowd
from tests.running import RunningDemo, eventually

BUYERS = 24
UNITS = 16


def _work_horse(demo: RunningDemo) -> list[psutil.Process]:
    """The forked child of a lanes worker that is deciding orders just now."""
    workers = demo.processes("work", "--queue lanes")
    pids = {worker.pid for worker in workers}
    return [worker for worker in workers if worker.ppid() in pids and not worker.children()]


VICTIMS: dict[str, Callable[[RunningDemo], list[psutil.Process]]] = {
    "worker": lambda demo: demo.processes("work", "--queue lanes")[:1],
    "work-horse": _work_horse,
    "controller": lambda demo: demo.processes("admit"),
    "gateway": lambda demo: [
        process for process in demo.processes("firstcome serve") if not process.children()
    ][:1],
    "sweeper": lambda demo: demo.processes("sweep"),
    "simulator": lambda demo: demo.processes("simulator"),
    "Redis": lambda demo: demo.processes("redis.sock"),
    "database": lambda demo: demo.processes("mariadb.sock"),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_the_sale_goes_on_when_a_process_is_killed(demo: RunningDemo, victim: str) -> None:
    sale, product = demo.open_sale(UNITS, calls_per_minute=600, capacity=50)
    with crowd(demo, BUYERS, sale, product) as journeys:
        time.sleep(0.5)  # the crowd is under way; the moment of the kill is meant to be arbitrary
        eventually(lambda: _killed(demo, victim), f"a {victim} to kill", 10)
    assert_sold_out(demo, sale, journeys, UNITS)


def _killed(demo: RunningDemo, victim: str) -> bool:
    """Kill one of them; a work-horse may be done and gone before it is hit."""
    try:
        found = VICTIMS[victim](demo)
        if found:
            found[0].kill()
    except psutil.NoSuchProcess:
        return False
    return bool(found)
