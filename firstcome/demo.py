"""`firstcome demo`: a whole sale on one machine, from nothing to READY, and back to nothing at Ctrl-C.

Puts servers, schema, demo data and processes together; how each of them is made stands elsewhere. Everything that it keeps lies
in the data folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx

from firstcome import demo_data
from firstcome.demo_secrets import kept_secrets
from firstcome.demo_servers import start_servers
from firstcome.demo_settings import DemoChoices, demo_settings
from firstcome.parent import MakeAbove
from firstcome.ports import PortTaken, refuse_taken_port
from firstcome.private_server import ServerFault
from firstcome.settings import DEMO_FILE, Settings, inherited_environment, started_by_make
from firstcome.supervisor import Program, Supervisor
from shop.storage.migrate import migrate

HOST = "127.0.0.1"
READY_WITHIN_S = 120.0
MAIL_FOLDER = "mail"
LOG_FOLDER = "logs"
# What `--fresh` throws away; nothing else in the folder is touched.
KEPT_DATA = (
    "redis",
    "redis-embedded",
    "mariadb",
    "firstcome.sqlite",
    "simulator.sqlite",
    "metrics",
    "secrets",
    MAIL_FOLDER,
    LOG_FOLDER,
)

PROCESSES: Mapping[str, tuple[str, ...]] = {
    "serve": ("serve",),
    "admit 1": ("admit",),
    "admit 2": ("admit",),
    "work lanes": ("work", "--queue", "lanes"),
    "work outbox": ("work", "--queue", "outbox"),
    "sweep": ("sweep",),
    "simulator": ("simulator",),
}


def run(choices: DemoChoices, *, fresh: bool) -> None:
    """Run the demo until SIGINT or SIGTERM. Raises ServerFault and PortTaken before it is ready."""
    folder = choices.data_dir.resolve()
    supervisor = Supervisor(say)
    with _our_own(folder), _stopped_by_signals():
        try:
            _refuse_taken_ports(choices, patient=(folder / DEMO_FILE).exists())
            if fresh:
                _throw_away(folder, choices)
            settings = _bring_up(choices, folder, supervisor)
            _await_ready(settings, supervisor)
            _introduce(settings)
            _stay(supervisor)
        except KeyboardInterrupt:
            say("Stopping …")
        finally:
            _ignore_signals()
            supervisor.stop()
            (folder / DEMO_FILE).unlink(missing_ok=True)


def say(line: str) -> None:
    """One line for the person at the terminal, on stderr: stdout ends with the READY line."""
    print(line, file=sys.stderr, flush=True)


def _bring_up(choices: DemoChoices, folder: Path, supervisor: Supervisor) -> Settings:
    servers = start_servers(choices, folder, supervisor)
    print(servers.description, flush=True)
    settings = demo_settings(
        choices,
        folder=folder,
        redis_url=servers.redis_url,
        database_url=servers.database_url,
        mail_folder=folder / MAIL_FOLDER,
        secrets=kept_secrets(folder),
    )
    migrate(settings.database_url)
    demo_data.prepare(settings)
    _note(folder / DEMO_FILE, settings.as_environment())
    supervisor.start([_program(name, words, settings, folder) for name, words in PROCESSES.items()])
    return settings


def _program(name: str, words: tuple[str, ...], settings: Settings, folder: Path) -> Program:
    logs = folder / LOG_FOLDER
    logs.mkdir(exist_ok=True)
    log = logs / f"{name.replace(' ', '-')}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    return Program(
        name,
        [sys.executable, "-m", "firstcome", *words],
        environment={**inherited_environment(), **settings.as_environment()},
        folder=folder,  # not where a `.env` for another installation may lie
        log=log,
    )


def _await_ready(settings: Settings, supervisor: Supervisor) -> None:
    """Until every page answers and the demo sale takes joins. Raises ServerFault."""
    deadline = time.monotonic() + READY_WITHIN_S
    with httpx.Client(timeout=2.0, trust_env=False) as client:
        questions: dict[str, Callable[[httpx.Response], bool]] = {
            f"{settings.base_url}/health/ready": lambda answer: answer.is_success,
            f"{settings.simulator_url}/health": lambda answer: answer.is_success,
            f"{settings.base_url}/api/v1/sales/{demo_data.SLUG}/line": _takes_joins,
        }
        unanswered = list(questions)

        def ready() -> bool:
            while unanswered and _asked(client, unanswered[0], questions[unanswered[0]]):
                unanswered.pop(0)
            return not unanswered or time.monotonic() > deadline

        supervisor.watch(ready, look_every_s=0.05)
    if unanswered:
        logs = settings.data_dir / LOG_FOLDER
        raise ServerFault(
            f"Not ready after {READY_WITHIN_S:.0f} s: {unanswered[0]} gives no good answer; logs: {logs}"
        )


def _takes_joins(line: httpx.Response) -> bool:
    """Open, and not held back: a store that was just started has to be confirmed before it may be used."""
    document = line.json() if line.is_success else {}
    return document.get("phase") == "open" and document.get("hold") is None


def _asked(client: httpx.Client, url: str, good: Callable[[httpx.Response], bool]) -> bool:
    try:
        return good(client.get(url))
    except httpx.TransportError:
        return False  # not there yet


def _introduce(settings: Settings) -> None:
    base = settings.base_url
    lines = [
        "",
        f"  The sale      {base}/sales/{demo_data.SLUG}",
        f"  The draw      {base}/sales/{demo_data.DRAW_SLUG}",
        f"  Orders        {base}/orders",
        f"  Mail          {base}/demo/mail",
        f"  Operator      {base}/operator",
        f"  API           {base}/schema",
        "",
        f"  Buyers        {demo_data.buyer_email(1)} … {demo_data.buyer_email(demo_data.BUYERS)}, password {demo_data.BUYER_PASSWORD}",
        f"  Operators     {' and '.join(demo_data.OPERATORS)}, password {demo_data.OPERATOR_PASSWORD}",
        "",
        f"Ctrl-C stops it; data and logs stay in {settings.data_dir}.",
        f"READY {base}",
    ]
    print("\n".join(lines), flush=True)


def _stay(supervisor: Supervisor) -> None:
    if not started_by_make():
        supervisor.watch()
        return
    supervisor.watch(MakeAbove().is_stopping, look_every_s=0.5)
    say("Stopping …")


def _refuse_taken_ports(choices: DemoChoices, *, patient: bool) -> None:
    """Raise PortTaken if the site's port or the payment stand-in's is taken.

    `patient`: the last demo in this folder did not stop by itself; what is left of it may need a moment to end.
    """
    give_up = time.monotonic() + (5.0 if patient else 0.0)
    for port, use in ((choices.port, "the site"), (choices.port + 1, "the payment stand-in")):
        while True:
            try:
                refuse_taken_port(HOST, port)
                break
            except PortTaken as taken:
                if time.monotonic() < give_up:
                    time.sleep(0.1)  # nothing tells when somebody else's port becomes free
                    continue
                raise PortTaken(
                    f"{taken} It is needed for {use}; choose another by FIRSTCOME_PORT."
                ) from None


def _throw_away(folder: Path, choices: DemoChoices) -> None:
    for name in KEPT_DATA:
        if name == "secrets" and choices.database_url:
            continue  # without them the data on the given server could not be read any more
        for path in folder.glob(f"{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _note(path: Path, variables: Mapping[str, str]) -> None:
    """Write the demo's settings down for verbs typed beside it; they hold secrets."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))


@contextlib.contextmanager
def _our_own(folder: Path) -> Iterator[None]:
    """Hold the folder, so that no second demo works in it. Raises ServerFault."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ServerFault(f"The data folder {folder} cannot be used: {error.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerFault(
                f"Another demo is running in {folder}; choose another by FIRSTCOME_DATA_DIR."
            ) from None
        yield


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP all arrive as KeyboardInterrupt, at whatever point the start has reached."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        pass  # before there was anything to stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """A second Ctrl-C while everything is stopping would leave something running."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
