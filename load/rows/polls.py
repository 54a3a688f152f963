"""What a poll of a waiting ticket and the shared state cost, against an empty handler of the same server."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice

import httpx

from load.arrivals import arrive
from load.figures import Figure, interleave, median_ratio, middle, shown
from load.generator import Requests, Run, ask, ask_once, request
from load.stage import Stage, stage
from shop.sales.reading import Sale

WAITING = 100_000
IDLE = 10_000
COUNTED_S = 6.0
SECONDS = 3.0


def generator_itself(_scale: float = 1.0) -> Iterator[Figure]:
    """What the generator gets out of a raw ASGI answer, against the empty handler: it must not be what is measured."""
    with stage() as here:
        plain = Requests(here.folder / "plain", [request("GET", "/x")])
        ports = {"raw": here.peer("raw", "350"), "empty": here.peer("empty", "/x", "350")}
        runs = interleave(
            {name: lambda port=port: ask(port, plain, seconds=2) for name, port in ports.items()}
        )
        yield Figure(
            "generator_vs_empty_handler",
            median_ratio(rates(runs["raw"]), rates(runs["empty"])),
            "ratio",
            1.5,
            "higher",
            f"{shown(middle(rates(runs['raw'])))} raw answers/s, {shown(middle(rates(runs['empty'])))} by the empty handler",
        )


def poll_against_empty_handler(scale: float = 1.0) -> Iterator[Figure]:
    """Polls/s and p99 of waiting tickets, each against the empty handler."""
    waiting, seconds = int(WAITING * scale), SECONDS
    with stage() as here:
        sale, polls = waiting_room(here, waiting)
        path = f"/api/v1/sales/{sale.slug}/ticket"
        size = len(_first_answer(here, polls).content)
        empty = here.peer("empty", path, str(size))
        ask(here.port, polls, seconds=1)
        ask(empty, polls, seconds=1)
        runs = interleave(
            {
                "poll": lambda: ask(here.port, polls, seconds=seconds),
                "empty": lambda: ask(empty, polls, seconds=seconds),
            }
        )
        yield Figure(
            "poll_vs_empty_handler",
            median_ratio(rates(runs["poll"]), rates(runs["empty"])),
            "ratio",
            1.0,
            "higher",
            f"{shown(middle(rates(runs['poll'])))} polls/s against {shown(middle(rates(runs['empty'])))} "
            f"requests/s, {size} bytes each, {waiting:,} waiting",
        )
        yield Figure(
            "poll_p99_vs_empty_handler",
            median_ratio(p99s(runs["poll"]), p99s(runs["empty"])),
            "ratio",
            1.5,
            "lower",
            f"p99 {shown(middle(p99s(runs['poll'])))} ms against {shown(middle(p99s(runs['empty'])))} ms at 64 connections",
        )


def with_idle_connections(scale: float = 1.0) -> Iterator[Figure]:
    """Polls/s with 10,000 further connections kept alive, against polls/s without them."""
    idle = max(100, int(IDLE * scale))
    with stage() as here:
        _, polls = waiting_room(here, max(1_000, int(WAITING * scale)))
        first = polls.path.read_bytes().partition(b"\0")[0]
        ask(here.port, polls, seconds=1)
        runs = interleave(
            {
                "alone": lambda: ask(here.port, polls, seconds=SECONDS),
                "crowded": lambda: _among(here, idle, first, polls),
            }
        )
        yield Figure(
            "poll_with_10k_idle",
            median_ratio(rates(runs["crowded"]), rates(runs["alone"])),
            "ratio",
            0.8,
            "higher",
            f"{shown(middle(rates(runs['crowded'])))} polls/s with {idle:,} idle keep-alive connections, "
            f"{shown(middle(rates(runs['alone'])))} without; p99 {shown(middle(p99s(runs['crowded'])))} and "
            f"{shown(middle(p99s(runs['alone'])))} ms",
        )


def _among(here: Stage, idle: int, first: bytes, polls: Requests) -> Run:
    """Poll while so many connections, each of which has asked for the shared state before, are kept open."""
    path = first.split()[1].removesuffix(b"/ticket").decode() + "/line"
    with ExitStack() as stack:
        for _ in range(idle):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", here.port), 10))
            connection.sendall(request("GET", path))
            assert connection.recv(64).startswith(b"HTTP/1.1 200")
        return ask(here.port, polls, seconds=SECONDS)


def redis_commands(scale: float = 1.0) -> Iterator[Figure]:
    """Redis commands per poll at the server's own poll times, once every ticket has been confirmed."""
    with stage() as here:
        _, polls = waiting_room(here, max(1_000, int(WAITING * scale)))
        requests = polls.path.read_bytes().split(b"\0")
        ask_once(here.port, polls, polls.count)
        sample = arrive(here.port, requests[:: max(1, len(requests) // 500)], 500)
        mean_s = middle([json.loads(answer.body)["poll_after_ms"] for answer in sample]) / 1000
        per_second = len(requests) / mean_s
        figures = []
        for _ in range(3):
            with Monitor(here.settings.redis_url) as quiet:
                time.sleep(COUNTED_S)  # what the processes ask of Redis without any poll
            asked = [random.choice(requests) for _ in range(int(per_second * COUNTED_S))]
            with Monitor(here.settings.redis_url) as busy:
                answers = arrive(here.port, asked, per_second)
            assert all(answer.status == 200 for answer in answers)
            figures.append(
                max(0.0, (busy.commands / busy.seconds - quiet.commands / quiet.seconds))
                * busy.seconds
                / len(asked)
            )
        yield Figure(
            "poll_redis_commands",
            middle(figures),
            "per poll",
            0.05,
            "lower",
            f"{len(requests):,} waiting, each asking every {shown(mean_s)} s as told: {shown(per_second)} polls/s",
        )


class Monitor:
    """Counts the commands that clients send to Redis; those inside scripts are none."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.commands = 0
        self.seconds = 0.0

    def __enter__(self) -> Monitor:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(self._url.removeprefix("unix://").partition("?")[0])
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _count(self) -> None:
        for line in self._socket.makefile("rb"):
            self.commands += b" lua] " not in line and b"[" in line


def waiting_room(here: Stage, waiting: int) -> tuple[Sale, Requests]:
    """A served sale with so many people waiting, and one poll of each of them."""
    here.run("serve")
    here.run("admit")
    sale = here.open_sale()
    here.await_line(sale)
    return sale, polls_of(here, sale, waiting)


def polls_of(here: Stage, sale: Sale, waiting: int, *, every: int = 1) -> Requests:
    """So many people in the sale's line, and one poll of each, or of each `every`th, by ticket alone."""
    path = f"/api/v1/sales/{sale.slug}/ticket"
    people = here.people_in_line(sale, waiting)
    tokens = here.tokens(sale, dict(islice(people.items(), 0, None, every)))
    return Requests(
        here.folder / f"polls-{sale.slug}",
        (request("GET", path, {"Waiting-Room-Ticket": token}) for token in tokens),
    )


def rates(runs: list[Run]) -> list[float]:
    """Their rates."""
    return [run.rate for run in runs]


def p99s(runs: list[Run]) -> list[float]:
    """Their p99."""
    return [run.p99_ms for run in runs]


def _first_answer(here: Stage, polls: Requests) -> httpx.Response:
    head, _, _ = polls.path.read_bytes()[:2000].partition(b"\0")
    line, *headers = head.decode().split("\r\n")
    named = dict(header.split(": ", 1) for header in headers if header)
    answer = httpx.get(f"http://127.0.0.1:{here.port}{line.split()[1]}", headers=named, trust_env=False)
    answer.raise_for_status()
    return answer
