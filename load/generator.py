"""The load generator: wrk with prepared requests, in a process of its own.

wrk is chosen because it costs so little that the server is what is measured: behind the same server it gets raw answers nearly
twice as fast as those of the fastest handler (`make bench ONLY=generator` shows both). Requests
are written to a file beforehand, with their tickets, sessions and keys, so that nothing is made while the clock runs. Load goes
to loopback only, for a bounded number of seconds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 64
PROGRAM = Path(__file__).with_name("generator.lua")


class GeneratorFault(Exception):
    """wrk is missing or the run was of no worth; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave. `refused`: answers with a status of 400 and above; `broken`: lost connections and time-outs."""

    rate: float
    p50_ms: float
    p99_ms: float
    complete: int
    seconds: float


def request(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """One whole HTTP request for 127.0.0.1, kept alive."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Requests:
    """Prepared requests in a file. `take` hands out the next ones that nobody has sent yet."""

    def __init__(self, path: Path, requests: Iterable[bytes]) -> None:
        self.path = path
        prepared = list(requests)
        self.count = len(prepared)
        self._next = 0
        path.write_bytes(b"\0".join(prepared))

    def take(self, count: int) -> int:
        """The number of the first of `count` unsent requests."""
        first, self._next = self._next, self._next + count
        if self._next > self.count:
            raise GeneratorFault(f"{self.path.name} holds only {self.count} requests")
        return first


def ask(
    port: int,
    requests: Requests,
    *,
    seconds: float = 2.0,
    connections: int = CONNECTIONS,
    allowed: float = 0.0,
) -> Run:
    """Send the requests over and over for `seconds`; more than the share `allowed` of refusals is a GeneratorFault."""
    return _run(port, requests, 0, requests.count, seconds, connections, once=False, allowed=allowed)


def ask_once(
    port: int, requests: Requests, count: int, *, connections: int = CONNECTIONS, at_most_s: float = 120
) -> Run:
    """Send the next `count` unsent requests, each once. Refusals are a GeneratorFault."""
    first = requests.take(count)
    return _run(port, requests, first, count, at_most_s, connections, once=True, allowed=0.0)


def _run(
    port: int,
    requests: Requests,
    first: int,
    count: int,
    seconds: float,
    connections: int,
    *,
    once: bool,
    allowed: float,
) -> Run:
    program = shutil.which("wrk")
    if program is None:
        raise GeneratorFault("wrk is not installed (Debian/Ubuntu: apt install wrk; macOS: brew install wrk)")
    command = [program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    command += ["-s", str(PROGRAM), f"http://127.0.0.1:{port}", "--"]
    command += [str(requests.path), str(first), str(count), "1" if once else "0"]
    # The session is ours: a Ctrl-C at the terminal is for the bench, which then ends this process by its id.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds + 60)
        finally:
            if process.poll() is None:
                process.kill()
    told = [line for line in output.splitlines() if line.startswith("{")]
    if process.returncode or not told:
        raise GeneratorFault(f"wrk failed: {output.strip()[-300:]}")
    result = json.loads(told[-1])
    answered = max(1, int(result["complete"]))
    if result["broken"] or result["refused"] > allowed * answered:
        raise GeneratorFault(
            f"{result['refused']} refusals and {result['broken']} broken connections among {answered} answers"
        )
    return Run(
        answered / result["seconds"], result["p50_ms"], result["p99_ms"], answered, float(result["seconds"])
    )
