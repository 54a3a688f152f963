"""`firstcome doctor`: asks every dependency, and says of each what is wrong and how to mend it. Changes nothing.

Each question is a generator of findings; a question that gets no answer at all yields that as its finding.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import redis
from redis.exceptions import RedisError
from sqlalchemy import text

from firstcome import clients, urls, wiring
from firstcome.settings import Settings, variable
from shop.errors import ShopError
from shop.mail.effects import EffectFailed
from shop.mail.smtp import SmtpMailer
from shop.storage.database import Tx
from shop.storage.schema import schema_is_current
from waiting_room.store_terms import KEEPS_EVERYTHING, KEEPS_ON_DISK, MOST_DRIFT_S

# How many processes of each kind share the database's connections: serve workers, two controllers, workers, one sweeper.
CONTROLLERS, SWEEPERS = 2, 1
ENOUGH_FILES = 10_000
ENOUGH_SENTINELS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What was asked, what was found, and what mends it; `mend` is empty where all is well."""

    subject: str
    found: str
    mend: str = ""


def run(settings: Settings, say: Callable[[str], None], *, stores_only: bool = False) -> bool:
    """Ask everything, or Redis and the database only, and say each finding in a line or two.

    True if nothing has to be mended.
    """
    healthy = True
    for finding in examine(settings, stores_only=stores_only):
        healthy = healthy and not finding.mend
        say(f"{'WRONG' if finding.mend else 'ok   '}  {finding.subject}: {finding.found}")
        if finding.mend:
            say(f"         -> {finding.mend}")
    return healthy


def examine(settings: Settings, *, stores_only: bool = False) -> Iterator[Finding]:
    """All findings; each question is asked even if another one failed."""
    yield Finding("settings", f"complete; the site is {settings.base_url}")
    yield from _redis("Redis (line and lanes)", "redis_url", settings.redis_url, settings.demo)
    if settings.rq_redis_url != settings.redis_url:
        yield from _redis("Redis (RQ)", "rq_redis_url", settings.rq_redis_url, settings.demo)
    yield from _database(settings)
    if stores_only:
        return
    yield from _mail(settings)
    yield from _payments(settings)
    yield from _machine()


def _redis(subject: str, name: str, url: str, demo: bool) -> Iterator[Finding]:
    yield from sentinels(subject, url)
    try:
        client = clients.redis_sync(url)
        with contextlib.closing(client):
            version = client.info("server")["redis_version"]
            yield Finding(subject, f"answers, version {version}")
            yield from _redis_options(subject, client, demo)
            seconds, micros = client.time()
            yield _drift(subject, seconds + micros / 1e6)
    except (RedisError, ValueError) as error:
        yield Finding(
            subject, f"gives no answer ({type(error).__name__})", f"Start it, or correct {variable(name)}."
        )


def sentinels(subject: str, url: str) -> Iterator[Finding]:
    """Whether the Sentinels, where some are named, are there, enough of them, and could promote a replica."""
    told = urls.watched(url)
    if told is None:
        return
    for (host, port), client in zip(told.sentinels, clients.sentinels(told), strict=True):
        who = f"the Sentinel at {host}:{port}"
        with contextlib.closing(client):
            try:
                master = cast(dict[str, Any], client.sentinel_master(told.service))
                client.sentinel_ckquorum(told.service)
            except RedisError as error:
                mend = f"Start it, let it watch {told.service}, and let it reach the others."
                yield Finding(subject, f"{who} cannot fail over ({type(error).__name__})", mend)
                continue
        replicas = int(master["num-slaves"])
        mend = "" if replicas else "Give the master a replica: there is nothing to fail over to."
        yield Finding(subject, f"{who} watches {told.service} with {replicas} replicas", mend)
    if len(told.sentinels) < ENOUGH_SENTINELS:
        yield Finding(
            subject,
            f"{len(told.sentinels)} Sentinels are named",
            "Name three or more, each on a machine of its own.",
        )


def _redis_options(subject: str, client: redis.Redis, demo: bool) -> Iterator[Finding]:
    wanted = {"maxmemory-policy": KEEPS_EVERYTHING, "appendonly": KEEPS_ON_DISK}
    why = {
        "maxmemory-policy": "With any other policy a full Redis throws places and orders away.",
        "appendonly": "Without it a restart of Redis forgets the line.",
    }
    try:
        options = {option: client.config_get(option).get(option) for option in wanted}
    except RedisError:
        yield Finding(
            subject, "its options cannot be read here; make sure of noeviction and appendonly yourself"
        )
        return
    for option, value in wanted.items():
        wrong = options[option] != value and not (demo and option == "appendonly")
        mend = f"Set {option} {value} in its configuration. {why[option]}" if wrong else ""
        yield Finding(subject, f"{option} is {options[option]}", mend)


def _drift(subject: str, their_time_s: float) -> Finding:
    drift = abs(time.time() - their_time_s)
    mend = "Set both clocks by NTP." if drift > MOST_DRIFT_S else ""
    return Finding(subject, f"its clock differs by {drift:.1f} s", mend)


def _database(settings: Settings) -> Iterator[Finding]:
    db = wiring.database(settings)
    with contextlib.ExitStack() as ending:
        ending.callback(db.dispose)
        try:
            version, now, most = db.read(_ask_database)
        except (ShopError, ValueError) as error:
            mend = f"Start it, or correct {variable('database_url')}."
            yield Finding("database", f"gives no answer ({type(error).__name__})", mend)
            return
        yield Finding("database", f"answers, version {version}")
        yield _drift("database", now)
        if schema_is_current(db):
            yield Finding("database", "has the present schema")
        else:
            yield Finding("database", "has another schema than this version", "Run firstcome migrate.")
        if most is not None:
            yield _connections(settings, most)


def _ask_database(tx: Tx) -> tuple[str, float, int | None]:
    if tx.dialect == "sqlite":
        return f"SQLite {tx.scalar(text('SELECT sqlite_version()'))}", tx.now.timestamp(), None
    version = str(tx.scalar(text("SELECT version()")))
    return version, tx.now.timestamp(), int(tx.scalar(text("SELECT @@max_connections")))


def _connections(settings: Settings, most: int) -> Finding:
    processes = (
        settings.serve_workers
        + CONTROLLERS
        + 2 * settings.lane_workers
        + 2 * settings.outbox_workers
        + SWEEPERS
    )
    needed = processes * settings.pool_size
    found = f"allows {most} connections; one set of processes here may open {needed}"
    mend = f"Raise max_connections, or lower {variable('pool_size')} or the numbers of workers."
    return Finding("database", found, mend if needed > most else "")


def _mail(settings: Settings) -> Iterator[Finding]:
    if settings.mail_sink_dir is not None:
        yield Finding("mail", f"is kept in {settings.mail_sink_dir} (demo)")
        return
    host = urlsplit(settings.smtp_url).hostname
    try:
        SmtpMailer(settings.smtp_url, settings.mail_from).check()
    except EffectFailed as failed:
        mend = f"Start the mail server, or correct {variable('smtp_url')}."
        yield Finding("mail", f"{host} takes no mail from here ({failed.what})", mend)
        return
    yield Finding("mail", f"{host} answers; mails come from {settings.mail_from}")


def _payments(settings: Settings) -> Iterator[Finding]:
    if not settings.simulator_url:
        yield Finding("payments", "no provider is set up: only orders with a total of 0 can be paid")
        return
    try:
        answer = httpx.get(f"{settings.simulator_url}/health", timeout=5, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        mend = f"Start firstcome simulator, or correct {variable('simulator_url')}."
        yield Finding("payments", f"the stand-in gives no answer ({type(error).__name__})", mend)
        return
    yield Finding("payments", "the stand-in answers; no real money moves")


def _machine() -> Iterator[Finding]:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = files == resource.RLIM_INFINITY or files >= ENOUGH_FILES
    mend = "" if enough else f"Raise the hard limit of open files to {ENOUGH_FILES} or more (ulimit -Hn)."
    shown = "unlimited" if files == resource.RLIM_INFINITY else str(files)
    yield Finding(
        "this machine", f"{socket.gethostname()}, {os.cpu_count()} processors, open files {shown}", mend
    )
