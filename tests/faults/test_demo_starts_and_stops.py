"""`firstcome demo` comes up, goes away without a trace, goes on with its data, and says plainly why it cannot start."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.running import RunningDemo, eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stopped_demo(servers_dir: Path) -> Iterator[RunningDemo]:
    """A demo that the test starts and stops itself."""
    demo = RunningDemo(servers_dir / "own", serve_workers="1")
    yield demo
    demo.stop()
    shutil.rmtree(demo.folder, ignore_errors=True)


def left_of(demo: RunningDemo) -> list[str]:
    """Command lines of live processes that were started with this demo's folder."""
    found = []
    for process in psutil.process_iter(["pid", "status", "cmdline"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        try:
            ours = process.environ().get("FIRSTCOME_DATA_DIR") == str(demo.folder)
            ours = ours or str(demo.folder) in " ".join(process.info["cmdline"] or [])
        except psutil.Error:
            continue
        if ours and process.pid != os.getpid():
            found.append(" ".join(process.info["cmdline"]))
    return found


@contextlib.contextmanager
def started_by_another(demo: RunningDemo) -> Iterator[subprocess.Popen[str]]:
    """The process that has started this demo for us."""
    words = (
        f"demo = RunningDemo(Path({str(demo.folder)!r})).start(); print(demo.url, flush=True); signal.pause()"
    )
    imports = "import signal; from pathlib import Path; from tests.running import RunningDemo"
    with subprocess.Popen(
        [sys.executable, "-c", f"{imports}; {words}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as another:
        assert another.stdout
        demo.url = another.stdout.readline().strip()
        yield another


def test_ctrl_c_leaves_nothing_running_and_a_second_start_goes_on_with_the_data(
    stopped_demo: RunningDemo,
) -> None:
    demo = stopped_demo.start()
    assert demo.output[-1] == f"READY {demo.url}"
    assert httpx.get(f"{demo.url}/sales/demo").status_code == 200
    account = demo.buyer(1).client.get("/api/v1/me").json()["account_id"]

    assert demo.stop(signal.SIGINT) == 0
    assert left_of(demo) == []

    with started_by_another(demo) as another:
        assert demo.buyer(1).client.get("/api/v1/me").json()["account_id"] == account
        another.kill()  # as when a test run is killed: the demo is told, and stops by itself
    eventually(lambda: not left_of(demo), "everything has ended", 30)


def test_nothing_is_left_running_when_the_demo_is_killed(stopped_demo: RunningDemo) -> None:
    demo = stopped_demo.start()
    assert len(left_of(demo)) > 8
    assert demo.process

    demo.process.kill()
    demo.process.communicate()

    eventually(lambda: not left_of(demo), "everything has ended", 30)


def hearing_interrupts() -> None:
    """As a program at a terminal does. One that a shell has started in the background ignores them, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_that_reaches_make_alone_stops_the_demo_all_the_same(stopped_demo: RunningDemo) -> None:
    demo = stopped_demo
    make = shutil.which("make")
    assert make, "make is needed to run make demo"
    recipe = f"demo:\n\t@exec {sys.executable} -m firstcome demo\n"
    demo.folder.mkdir()
    (demo.folder / "Makefile").write_text(recipe)
    process = subprocess.Popen(
        [make, "-C", str(demo.folder), "demo"],
        env=demo.environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=hearing_interrupts,
    )
    with process:
        assert process.stdout
        assert any(line.startswith("READY ") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert left_of(demo) == []


def test_a_taken_port_is_one_clear_sentence(stopped_demo: RunningDemo) -> None:
    with socket.create_server(("127.0.0.1", stopped_demo.port + 1)):
        refused = stopped_demo.verb("demo")

    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"firstcome: Port {stopped_demo.port + 1} on 127.0.0.1 is taken by another program. "
        "It is needed for the payment stand-in; choose another by FIRSTCOME_PORT."
    ]
    assert left_of(stopped_demo) == []


def test_a_second_demo_in_the_same_folder_is_refused(demo: RunningDemo) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "firstcome", "demo"],
        env={**demo.environment, "FIRSTCOME_PORT": str(demo.port + 2)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert refused.returncode == 1
    assert "Another demo is running in" in refused.stderr
    assert httpx.get(f"{demo.url}/health/ready").status_code == 200


def test_verbs_typed_beside_a_demo_find_it(demo: RunningDemo) -> None:
    examined, compared = demo.verb("doctor"), demo.verb("reconcile")
    tokens = demo.verb("demo-tokens", "--count", "60").stdout.splitlines()
    shown = demo.verb("doctor", "--settings").stdout

    assert examined.returncode == 0, examined.stdout
    assert compared.stdout == "The books add up.\n"
    assert len(tokens) == 60
    assert "FIRSTCOME_SECRET_KEYS=set (active demo1, 1 in all)" in shown


def test_without_a_demo_and_without_settings_every_verb_says_what_is_missing(tmp_path: Path) -> None:
    for verb in (["serve"], ["admit"], ["reconcile"], ["demo-tokens", "--count", "1"], ["doctor"]):
        refused = subprocess.run(
            [sys.executable, "-m", "firstcome", *verb],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        assert refused.returncode == 2, verb
        assert "FIRSTCOME_SECRET_KEYS is missing" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_dead_process_of_the_demo_is_announced(stopped_demo: RunningDemo) -> None:
    demo = stopped_demo.start()
    assert demo.process
    assert demo.process.stdout
    (sweeper,) = demo.processes("sweep")

    sweeper.kill()

    assert demo.process.stdout.readline() == "sweep was ended by SIGKILL; it is started again.\n"
    eventually(lambda: [p for p in demo.processes("sweep") if p.pid != sweeper.pid], "a new sweeper runs", 30)
    assert demo.stop(signal.SIGTERM) == 0
    assert left_of(demo) == []
