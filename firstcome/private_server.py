"""A server process of our own: a folder with its data, its socket, its pid file and its log, and a life that ends with ours.

It never touches the machine's own instances: no fixed port, no shared folder. Knows no particular server.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from workers.orphans import end_with_parent

READY_WITHIN_S = 20.0
STOPPED_WITHIN_S = 8.0
# sun_path has 108 bytes, the last of them zero.
LONGEST_SOCKET_PATH = 107

_ADMIN_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin", "/usr/local/bin")


class ServerFault(Exception):
    """A server that is missing or does not start; the message is one sentence for the person at the terminal."""


def find_program(*names: str) -> str | None:
    """The first of these programs that is installed, also where only administrators' programs are kept."""
    path = os.pathsep.join([os.defpath, *_ADMIN_FOLDERS])
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path=path):
            return found
    return None


def dying_with_parent() -> Callable[[], None]:
    """A `preexec_fn` for a child that shall end with this process.

    Linux only: elsewhere nothing may be set up between fork and exec, and what is left over is found by its pid file.
    """
    if sys.platform != "linux":
        return lambda: None
    return functools.partial(end_with_parent, os.getpid(), signal.SIGTERM)


def socket_path(folder: Path, name: str) -> Path:
    """A path for a Unix socket that belongs to the folder: inside it, or in a short private one where that is too long."""
    inside = folder.resolve() / name
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    mark = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"firstcome-{os.getuid()}-{mark}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid() or short.stat().st_mode & 0o077:
        raise ServerFault(f"{short} belongs to somebody else; remove it or choose a shorter data folder.")
    return short / name


class PrivateServer:
    """A server process with a folder, a pid file and a log. Subclasses say how it is started and asked.

    Use it as a context manager, or `start()` and `stop()`; `restart()` and `kill()` are for fault tests.
    """

    name: ClassVar[str] = "server"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = socket_path(folder, f"{self.name}.sock")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def start(self) -> Self:
        """Start it and wait until it answers. Raises ServerFault."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._stop_leftover()
        self.prepare()
        self.socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for us to pass on, in the right order
                preexec_fn=dying_with_parent(),
            )
        self.pid_file.write_text(f"{self.process.pid}\n")
        self._wait_until_ready(self.process)
        return self

    def stop(self) -> None:
        """Stop it in its own orderly way; repeated calls do nothing."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._forget()

    def kill(self) -> None:
        """End it at once, as a power cut would (kill -9)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._forget()

    def restart(self) -> None:
        """Stop it and start it again on the same data and the same socket."""
        self.stop()
        self.start()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def prepare(self) -> None:
        """Make the data folder, where the server needs one."""

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _forget(self) -> None:
        self.process = None
        self.pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self.folder.resolve():
            with contextlib.suppress(
                OSError
            ):  # another server of this data folder may still have its socket there
                self.socket.parent.rmdir()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.answers():
            if process.poll() is not None:
                self._forget()
                raise ServerFault(f"{self.name} ended at its start: {self._last_words()} (log: {self.log})")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFault(
                    f"{self.name} gave no answer within {READY_WITHIN_S:.0f} s (log: {self.log})"
                )
            time.sleep(0.01)  # a server has no event to wait for; it is there once its socket answers

    def _last_words(self) -> str:
        """What it complained of, else the last it said. After a complaint servers still say that they abort, and that they end."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        faults = [line for line in lines[-20:] if "[ERROR]" in line and not line.endswith("Aborting")]
        return (faults or lines or ["it said nothing"])[-1]

    def _is_ours(self, pid: int) -> bool:
        """Whether this is the server of this folder: a pid may have gone to somebody else meanwhile."""
        shown = _command_line(pid)
        return str(self.folder) in shown or str(self.socket) in shown

    def _stop_leftover(self) -> None:
        """End an instance that outlived its starter (where the kernel does not do it), if it is truly ours."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return
        if self._is_ours(pid):
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOPPED_WITHIN_S
            while self._is_ours(pid) and time.monotonic() < deadline:
                time.sleep(0.02)  # not our child: there is nothing to wait on
        self.pid_file.unlink(missing_ok=True)


def _command_line(pid: int) -> str:
    """The command line of a live process, else nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        if sys.platform == "linux":
            return ""
        ps = subprocess.run(
            ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return ps.stdout
