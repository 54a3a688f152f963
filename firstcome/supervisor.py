"""Keeps a handful of processes running until it is told to stop: starts them, starts them again when they die, ends them all.

What a process prints on stdout is meant for the person at the terminal and goes there; what it writes to stderr is its log. Every
process leads a group of its own, so that Ctrl-C reaches the supervisor alone and nothing of a dead process is left behind; if
the supervisor itself is killed, the kernel tells each process to stop. Knows nothing of what the processes do.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from firstcome.private_server import PrivateServer, ServerFault, dying_with_parent

STOPPED_WITHIN_S = 8.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
# Who has run so long is healthy again: the next restart comes without a long pause.
HEALTHY_AFTER_S = 10.0


class Charge(Protocol):
    """Something that the supervisor looks after."""

    @property
    def name(self) -> str: ...
    def start(self) -> None:
        """Start it, or start it again."""
        ...

    def end(self) -> str | None:
        """How it ended, in words, or None while it runs. Must not block."""
        ...

    def ask_to_stop(self) -> None: ...
    def kill(self) -> None:
        """End it and everything that it started, at once."""
        ...


class Program:
    """A command as a charge. Its stderr is appended to `log`."""

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.kill()  # what a dead leader may have left of its group
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
                preexec_fn=dying_with_parent(),
            )

    def end(self) -> str | None:
        code = None if self._process is None else self._process.poll()
        return None if code is None else how_it_ended(code)

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Server:
    """A private server as a charge."""

    def __init__(self, server: PrivateServer) -> None:
        self.name = server.name
        self._server = server
        self._fault = ""

    def start(self) -> None:
        """Raises ServerFault."""
        try:
            self._server.start()
        except ServerFault as fault:
            self._fault = str(fault)
            raise

    def end(self) -> str | None:
        process = self._server.process
        if process is None:
            return f"does not start ({self._fault})"
        code = process.poll()
        return None if code is None else how_it_ended(code)

    def ask_to_stop(self) -> None:
        if self._server.process is not None:
            self._server.process.terminate()

    def kill(self) -> None:
        self._server.stop()


@dataclass(slots=True)
class _Watch:
    charge: Charge
    started_at: float
    pause_s: float = FIRST_PAUSE_S
    start_again_at: float | None = None


class Supervisor:
    """Runs `charges` in the order given and stops them in the reverse order of `stages`.

    A stage is a list of charges that start and stop together; later stages rely on earlier ones. `say` gets one line for
    every death. Only the main thread may use it: the kernel's promise to end the children is bound to the starting thread.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stages: list[list[_Watch]] = []

    def start(self, stage: Sequence[Charge]) -> None:
        """Start a stage; the charges that are running already stay as they are."""
        watches: list[_Watch] = []
        self._stages.append(watches)
        for charge in stage:
            charge.start()
            watches.append(_Watch(charge, time.monotonic()))

    def adopt(self, stage: Sequence[Charge]) -> None:
        """Look after a stage that runs already."""
        now = time.monotonic()
        self._stages.append([_Watch(charge, now) for charge in stage])

    def watch(self, until: Callable[[], bool] = lambda: False, *, look_every_s: float = 60.0) -> None:
        """Start again what dies, until `until()` holds, looked at after every event and every `look_every_s` seconds."""
        with _woken_by_children() as bell:
            while not until():
                wait_s = min([look_every_s, *self._mend()])
                select.select([bell], [], [], max(wait_s, 0))
                with contextlib.suppress(BlockingIOError):
                    os.read(bell, 4096)

    def stop(self) -> None:
        """Stop everything, last stage first, and kill what does not stop in time."""
        while self._stages:
            charges = [watch.charge for watch in self._stages.pop()]
            for charge in charges:
                charge.ask_to_stop()
            deadline = time.monotonic() + STOPPED_WITHIN_S
            while time.monotonic() < deadline and any(charge.end() is None for charge in charges):
                time.sleep(
                    0.02
                )  # several children at once: a look now and then is simpler than waiting for each
            for charge in charges:
                charge.kill()

    def _mend(self) -> Iterator[float]:
        """Start again what is due; yields the seconds until each of the others is."""
        for watch in [watch for stage in self._stages for watch in stage]:
            how = watch.charge.end()
            if how is None:
                continue
            now = time.monotonic()
            if watch.start_again_at is None:
                if now - watch.started_at > HEALTHY_AFTER_S:
                    watch.pause_s = FIRST_PAUSE_S
                self._say(f"{watch.charge.name} {how}; it is started again.")
                watch.start_again_at = now + watch.pause_s
                watch.pause_s = min(watch.pause_s * 2, LONGEST_PAUSE_S)
            if now < watch.start_again_at:
                yield watch.start_again_at - now
                continue
            watch.start_again_at = None
            watch.started_at = now
            with contextlib.suppress(ServerFault):  # `end` tells it, and it is tried again
                watch.charge.start()


def how_it_ended(code: int) -> str:
    """A return code of `subprocess` in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


@contextlib.contextmanager
def _woken_by_children() -> Iterator[int]:
    """A file descriptor that becomes readable whenever a child has ended (or any other signal arrived)."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        """Nothing to do: Python writes to the wake-up descriptor for every signal that has a handler."""

    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    before = signal.signal(signal.SIGCHLD, ring)
    before_fd = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(before_fd)
        signal.signal(signal.SIGCHLD, before)
        os.close(read)
        os.close(write)
