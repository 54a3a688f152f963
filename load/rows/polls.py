"""What a poll of a waiting ticket and the shared state cost, against an empty handler of the same server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from load.figures import Figure, interleave, median_ratio, middle, shown
from load.generator import Requests, Run, ask, request
from load.stage import Stage, stage
from shop.sales.reading import Sale

WAITING = 100_000
SECONDS = 3.0


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


def waiting_room(here: Stage, waiting: int) -> tuple[Sale, Requests]:
    """A served sale with so many people waiting, and one poll of each of them."""
    here.run("serve")
    here.run("admit")
    sale = here.open_sale()
    here.await_line(sale)
    return sale, polls_of(here, sale, waiting)


def polls_of(here: Stage, sale: Sale, waiting: int) -> Requests:
    """So many people in the sale's line, and one poll of each of them by ticket alone."""
    path = f"/api/v1/sales/{sale.slug}/ticket"
    people = here.people_in_line(sale, waiting)
    tokens = here.tokens(sale, people)
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
