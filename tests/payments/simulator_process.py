"""The payment stand-in as a real process on a free port, and somebody who takes its callbacks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar

from gateway.simulator import SimulatorConfig, create_simulator
from tests.till import API_KEY, SECRET

CONFIG = "SIMULATOR_UNDER_TEST"


def make() -> Litestar:
    """What granian calls in the child."""
    values = json.loads(os.environ[CONFIG])
    values["database"] = Path(values["database"])
    return create_simulator(SimulatorConfig(**values))


@dataclass(frozen=True)
class Taken:
    """A callback that arrived."""

    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def reference(self) -> str:
        return str(self.document["data"]["reference"])

    @property
    def kind(self) -> str:
        return str(self.document["type"])


@dataclass
class Shop:
    """A server that takes callbacks; `answer` decides the status of each."""

    answer: Callable[[Taken], int] = lambda _taken: 200
    taken: list[Taken] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the sender was killed while it spoke: nothing arrived
                headers = {name.lower(): value for name, value in self.headers.items()}
                taken = Taken(headers, body, time.monotonic())
                status = shop.answer(taken)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
                with shop.changed:
                    shop.taken.append(taken)
                    shop.changed.notify_all()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/callbacks"

    def about(self, reference: str) -> list[Taken]:
        return [taken for taken in self.taken if taken.reference == reference]

    def wait_for(self, reference: str, count: int, within_s: float = 10) -> list[Taken]:
        """The first `count` callbacks about a payment."""
        with self.changed:
            arrived = self.changed.wait_for(lambda: len(self.about(reference)) >= count, within_s)
        assert arrived, (count, [taken.kind for taken in self.about(reference)])
        return self.about(reference)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def press(checkout_url: str, outcome: str) -> None:
    """What the buyer chooses on the stand-in's page."""
    assert httpx.post(checkout_url, data={"outcome": outcome}, trust_env=False).status_code == 303


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Simulator:
    """The stand-in's process; `kill()` ends it as a power cut would, `start()` begins it again on the same file and port."""

    folder: Path
    callback_url: str
    changes: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Simulator:
        config = SimulatorConfig(
            database=self.folder / "simulator.sqlite",
            public_url=self.url,
            callback_url=self.callback_url,
            api_key=API_KEY,
            webhook_secrets=(SECRET,),
            slow_s=0.4,
            late_s=0.4,
            retry_delays_s=(0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1),
            **self.changes,
        )
        environment = {**os.environ, CONFIG: json.dumps(asdict(config), default=str)}
        options = ["--interface", "asgi", "--factory", "--workers", "1", "--port", str(self.port), "--no-log"]
        command = [sys.executable, "-m", "granian", *options, f"{__name__}:make"]
        with (self.folder / "simulator.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 15
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "simulator.log").read_text()
            assert time.monotonic() < deadline, "the simulator did not start"
            time.sleep(0.02)  # a server has no event to wait for
        return self

    def kill(self) -> None:
        """kill -9 to the whole group: granian's worker is a child of its own."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped: connections are taken, and answered only after the end of this."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=1, trust_env=False).is_success
        except httpx.HTTPError:
            return False
