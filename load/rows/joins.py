"""What a join costs with everything real, and how fast the tickets in the buyers' hands rebuild a line that was lost."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx

from gateway.cookies import session_cookie
from load.figures import Figure, interleave, median_ratio, middle, shown
from load.generator import CONNECTIONS, Requests, ask, ask_once, request
from load.rows.polls import polls_of, rates
from load.stage import Stage, await_true, stage
from shop.sales.reading import Sale
from waiting_room.keys import SaleKeys

JOINS = 8_000
ROUNDS = 3
PLACES = 99_999  # three equal parts
BODY = 400


def against_round_trip(scale: float = 1.0) -> Iterator[Figure]:
    """Joins/s of browsers, each with a session of its own, against a handler that awaits one Redis round trip."""
    count = max(200, int(JOINS * scale))
    with stage() as here:
        sale = served(here)
        path = f"/api/v1/sales/{sale.slug}/ticket"
        by_cookie = Requests(here.folder / "cookies", (_join_by_cookie(here, path) for _ in range(4 * count)))
        by_bearer = Requests(here.folder / "bearers", (join_by_bearer(here, path) for _ in range(4 * count)))
        peer = here.peer("round_trip", path, str(BODY))
        plain = Requests(here.folder / "plain", [request("PUT", path)])
        for joins in (by_cookie, by_bearer):
            ask_once(here.port, joins, count)
        ask(peer, plain, seconds=1)
        runs = interleave(
            {
                "cookie": lambda: ask_once(here.port, by_cookie, count),
                "peer": lambda: ask(peer, plain, seconds=2),
                "bearer": lambda: ask_once(here.port, by_bearer, count),
            }
        )
        _assert_all_in_line(here, sale, 8 * count)
        bearer = median_ratio(rates(runs["bearer"]), rates(runs["peer"]))
        yield Figure(
            "join_vs_round_trip",
            median_ratio(rates(runs["cookie"]), rates(runs["peer"])),
            "ratio",
            0.8,
            "higher",
            f"{shown(middle(rates(runs['cookie'])))} joins/s by session cookie (by bearer token: {shown(bearer)}), every "
            f"session seen for the first time, against {shown(middle(rates(runs['peer'])))} requests/s",
        )


def recovery(scale: float = 1.0) -> Iterator[Figure]:
    """After FLUSHALL: polls with tickets restore places; the rate against that of joins in between."""
    places = max(300, int(PLACES * scale)) // ROUNDS * ROUNDS
    count = max(200, int(JOINS * scale))
    with stage() as here:
        sale = served(here)
        path = f"/api/v1/sales/{sale.slug}/ticket"
        joins = Requests(
            here.folder / "joins", (join_by_bearer(here, path) for _ in range((ROUNDS + 1) * count))
        )
        ask_once(here.port, joins, count)
        polls = polls_of(here, sale, places)
        line = SaleKeys(sale.sale_id).line
        numbers = dict(here.redis.zrange(line, 0, -1, withscores=True))
        here.redis.flushall()
        # A process that has not heard of the loss yet still answers from what it read before.
        await_true(lambda: _answers(here, polls) and bool(here.redis.zcard(line)), "a place is back")
        runs = interleave(
            {
                "restored": lambda: ask_once(here.port, polls, places // ROUNDS),
                "joined": lambda: ask_once(here.port, joins, count),
            },
            ROUNDS,
        )
        _assert_old_numbers(here, sale, polls, numbers)
        yield Figure(
            "recovery_vs_join",
            median_ratio(rates(runs["restored"]), rates(runs["joined"])),
            "ratio",
            0.5,
            "higher",
            f"{places:,} polls restore {places:,} places at {shown(middle(rates(runs['restored'])))}/s, "
            f"joins {shown(middle(rates(runs['joined'])))}/s",
        )


def served(here: Stage) -> Sale:
    """A sale that takes joins."""
    here.run("serve")
    here.run("admit")
    sale = here.open_sale()
    here.await_line(sale)
    return sale


def join_by_bearer(here: Stage, path: str) -> bytes:
    """The join of a program that nobody has seen before."""
    token = here.bearer(secrets.token_urlsafe(12))
    return request("PUT", path, {"Authorization": f"Bearer {token}"})


def _join_by_cookie(here: Stage, path: str) -> bytes:
    """The join of a browser that nobody has seen before, with its CSRF token."""
    session = secrets.token_urlsafe(12)
    token = here.bearer(secrets.token_urlsafe(12), session)
    headers = {
        "Cookie": f"{session_cookie(here.settings, 'buyer')}={token}",
        "X-CSRF-Token": here.sessions.csrf_token(session),
        "Origin": here.settings.base_url,
        "Sec-Fetch-Site": "same-origin",
    }
    return request("PUT", path, headers)


def _answers(here: Stage, polls: Requests) -> bool:
    """Whether a poll gets its place back."""
    first = polls.path.read_bytes().partition(b"\0")[0].decode()
    line, *headers = first.split("\r\n")
    named = dict(header.split(": ", 1) for header in headers if header)
    answer = httpx.get(f"http://127.0.0.1:{here.port}{line.split()[1]}", headers=named, trust_env=False)
    return answer.status_code == 200


def _assert_all_in_line(here: Stage, sale: Sale, count: int) -> None:
    keys = SaleKeys(sale.sale_id)
    there = here.redis.zcard(keys.line) + here.redis.hlen(keys.served)
    # Each run ends with the last requests still on their way.
    assert there >= count - 8 * CONNECTIONS, f"{there} people are in the line after {count} joins"


def _assert_old_numbers(here: Stage, sale: Sale, polls: Requests, before: dict[str, float]) -> None:
    after = dict(here.redis.zrange(SaleKeys(sale.sale_id).line, 0, -1, withscores=True))
    restored = sum(after.get(ticket) == number for ticket, number in before.items())
    assert restored >= polls.count - ROUNDS * CONNECTIONS, (
        f"only {restored} of {polls.count} places came back under their number"
    )
