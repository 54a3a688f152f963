"""Processes are kept running, announced when they die, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from firstcome.ports import PortTaken, refuse_taken_port
from firstcome.servers import EmbeddedRedis, PrivateRedis, ServerFault
from firstcome.supervisor import Program, Server, Supervisor
from tests.running import eventually, free_ports

SLEEPER = "import time; time.sleep(600)"
# Starts a child of its own, and does not listen to SIGTERM.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # {mark}"])
time.sleep(600)  # {mark}
"""


class Sickly(EmbeddedRedis):
    """A server that ends at its start whenever it is not healthy."""

    healthy = True

    def command(self) -> Sequence[str]:
        return super().command() if self.healthy else ["/bin/false"]


def program(folder: Path, code: str, name: str = "sleeper") -> Program:
    return Program(
        name,
        [sys.executable, "-c", code],
        environment=dict(os.environ),
        folder=folder,
        log=folder / f"{name}.log",
    )


def alive_with(mark: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and mark in " ".join(process.info["cmdline"] or [])
    ]


def test_a_process_that_dies_is_started_again_with_a_line_that_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    supervisor.start([program(tmp_path, f"{SLEEPER}  # {mark}")])
    (first,) = eventually(lambda: alive_with(mark), "it runs")
    try:
        os.kill(first, signal.SIGKILL)
        supervisor.watch(lambda: bool(set(alive_with(mark)) - {first}), look_every_s=0.05)
    finally:
        supervisor.stop()

    assert said == ["sleeper was ended by SIGKILL; it is started again."]
    assert alive_with(mark) == []


def test_a_process_that_keeps_dying_is_given_ever_longer_pauses(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    began = time.monotonic()
    supervisor.start([program(tmp_path, "raise SystemExit(3)")])

    supervisor.watch(lambda: len(said) == 4, look_every_s=0.05)
    supervisor.stop()

    assert set(said) == {"sleeper ended with exit code 3; it is started again."}
    assert time.monotonic() - began > 0.2 + 0.4 + 0.8


def test_stopping_ends_also_what_does_not_listen_and_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstcome.supervisor.STOPPED_WITHIN_S", 0.3)
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    supervisor = Supervisor(print)
    supervisor.start([program(tmp_path, STUBBORN.format(mark=mark))])
    eventually(lambda: len(alive_with(mark)) == 2, "it runs with its child")

    supervisor.stop()

    assert alive_with(mark) == []


def test_nothing_is_left_when_the_supervisor_itself_is_killed(servers_dir: Path) -> None:
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    script = f"""
        import os, sys
        from pathlib import Path
        from firstcome.servers import EmbeddedRedis
        from firstcome.supervisor import Program, Server, Supervisor
        folder = Path(sys.argv[1])
        supervisor = Supervisor(print)
        supervisor.start([Server(EmbeddedRedis(folder / "{mark}"))])
        supervisor.start([Program("p", [sys.executable, "-c", "{SLEEPER}  # {mark}"],
                                  environment=dict(os.environ), folder=folder, log=folder / "log")])
        print("up", flush=True)
        supervisor.watch()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(servers_dir)], stdout=subprocess.PIPE, text=True
    )
    with child:
        try:
            assert child.stdout
            assert child.stdout.readline() == "up\n"
            assert len([pid for pid in alive_with(mark) if pid != child.pid]) == 2
        finally:
            child.kill()

    eventually(lambda: not alive_with(mark), "nothing is left", 20)


def test_a_server_that_dies_is_started_again_on_its_data(servers_dir: Path) -> None:
    said: list[str] = []
    server = EmbeddedRedis(servers_dir / "mortal")
    supervisor = Supervisor(said.append)
    supervisor.start([Server(server)])
    try:
        assert server.process
        dead = server.process
        dead.kill()
        supervisor.watch(lambda: server.process is not dead and server.answers(), look_every_s=0.05)
    finally:
        supervisor.stop()

    assert said == ["redis was ended by SIGKILL; it is started again."]
    assert not server.running


def test_a_server_that_does_not_come_back_is_tried_again_until_it_does(servers_dir: Path) -> None:
    said: list[str] = []
    server = Sickly(servers_dir / "sickly")
    supervisor = Supervisor(said.append)
    supervisor.start([Server(server)])
    try:
        assert server.process
        server.healthy = False
        server.process.kill()
        supervisor.watch(lambda: len(said) == 2, look_every_s=0.05)
        server.healthy = True
        supervisor.watch(server.answers, look_every_s=0.05)
    finally:
        supervisor.stop()

    assert said[0] == "redis was ended by SIGKILL; it is started again."
    assert said[1].startswith("redis does not start (redis ended at its start: ")


def test_a_server_that_cannot_start_says_why_in_one_sentence(servers_dir: Path) -> None:
    with pytest.raises(ServerFault, match=r"redis ended at its start: .+ \(log: "):
        PrivateRedis(servers_dir / "broken", program="/bin/false").start()

    talkative = servers_dir / "talkative"
    talkative.write_text(
        "#!/bin/sh\nprintf '%s\\n' 'ready' '[ERROR] No such directory' '[ERROR] Aborting' 'End'\nexit 1\n"
    )
    talkative.chmod(0o700)
    with pytest.raises(ServerFault, match=r"redis ended at its start: \[ERROR\] No such directory \(log: "):
        PrivateRedis(servers_dir / "complains", program=str(talkative)).start()


def test_a_folder_with_a_long_name_gets_its_socket_elsewhere(servers_dir: Path) -> None:
    with EmbeddedRedis(servers_dir / ("long" * 30)) as server:
        assert len(os.fsencode(server.socket)) < 108
        assert server.answers()
        elsewhere = server.socket.parent

    assert not elsewhere.exists()


def test_a_taken_port_is_named() -> None:
    port = free_ports()
    refuse_taken_port("127.0.0.1", port)
    listener = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import socket, time; s = socket.create_server(('127.0.0.1', {port}), reuse_port=True); print('up', flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with listener:
        assert listener.stdout
        listener.stdout.readline()
        try:
            with pytest.raises(PortTaken, match=f"Port {port} on 127.0.0.1 is taken"):
                refuse_taken_port("127.0.0.1", port)
        finally:
            listener.kill()


def test_a_server_that_was_left_behind_makes_way_for_the_next_one(servers_dir: Path) -> None:
    folder = servers_dir / "left"
    left = EmbeddedRedis(folder).start()
    assert left.process

    with EmbeddedRedis(folder) as server:
        assert left.process.wait(20) is not None
        assert server.answers()
