"""What opening a draw costs: a lobby of 1,000,000, from the write that opens it to a public list and a number for everybody.

The real leader draws, with a real database, while people of the lobby go on asking for their place.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

from firstcome import wiring
from gateway.draws import Draws
from load.arrivals import Answer, arrive
from load.figures import Figure, middle, quantile, shown
from load.generator import request
from load.stage import Stage, await_true, stage
from shop.sales.create import change_sale
from shop.sales.publication import read_publication
from shop.sales.reading import Sale
from waiting_room.keys import SaleKeys
from workers.publish import publish_sale

LOBBY = 1_000_000
POLLS_PER_S = 300
# Longer scripts than this are looked for.
WORTH_LOGGING_US = 500
ASKED_BY = 20_000
WITHIN_S = 180.0
LOOK_EVERY_S = 0.02


def opening(scale: float = 1.0) -> Iterator[Figure]:
    """Seconds to a public list and to the last number, the longest script, and what those who ask meanwhile wait."""
    size = max(5_000, int(LOBBY * scale))
    with stage() as here:
        here.run("serve")
        here.run("admit")
        draws = Draws(wiring.vault(here.settings))
        sale = _lobby(here, draws)
        crowd = _Crowd(here.port, _people(here, sale, draws, size))
        here.redis.config_set("slowlog-max-len", 20_000)
        here.redis.config_set("slowlog-log-slower-than", WORTH_LOGGING_US)
        here.redis.slowlog_reset()
        with crowd:
            listed_s, numbered_s = _drawn(here, sale)
        _assert_numbered(here, sale, size)
        blocked = [entry["duration"] / 1000 for entry in here.redis.slowlog_get(20_000) if _is_script(entry)]
        yield Figure(
            "draw_listed", listed_s, "s", None, "lower", f"a lobby of {size:,}: seed and list are public"
        )
        yield Figure(
            "draw_numbered",
            numbered_s,
            "s",
            None,
            "lower",
            f"everybody has a number, and people are called; {shown(len(crowd.took_ms))} of the lobby asked meanwhile, "
            f"p99 {shown(quantile(crowd.took_ms, 0.99))} ms",
        )
        yield Figure(
            "draw_longest_script",
            max(blocked),
            "ms",
            10,
            "lower",
            f"how long a script blocked Redis at most meanwhile; of {len(blocked):,} that took over "
            f"{WORTH_LOGGING_US / 1000} ms half took {shown(middle(blocked))} ms, p99 {shown(quantile(blocked, 0.99))} ms",
        )


def _lobby(here: Stage, draws: Draws) -> Sale:
    """A sale whose lobby is open."""
    in_an_hour = here.db_now + timedelta(hours=1)
    sale = here.open_sale(mode="draw", opens_at=in_an_hour, make_draw=draws.make)
    here.await_line(sale, "lobby")
    return sale


def _people(here: Stage, sale: Sale, draws: Draws, count: int) -> list[bytes]:
    """So many people in the lobby as join.lua leaves them, and a poll of some."""
    line, polls = SaleKeys(sale.sale_id).line, []
    for first in range(0, count, 5_000):
        names = [secrets.token_urlsafe(10)[:14] for _ in range(min(5_000, count - first))]
        here.redis.zadd(line, {name: draws.lot(sale, name) for name in names})
        some = names[: max(1, len(names) * ASKED_BY // count)]
        path = f"/api/v1/sales/{sale.slug}/ticket"
        tokens = here.tokens(sale, dict.fromkeys(some, 0))
        polls += [request("GET", path, {"Waiting-Room-Ticket": token}) for token in tokens]
    return polls


def _drawn(here: Stage, sale: Sale) -> tuple[float, float]:
    """Open it; seconds from the opening until the list is public, and until everybody has a number."""
    soon = here.db.read(lambda tx: tx.now) + timedelta(seconds=2)
    floor_s = here.settings.turn_floor_s
    change_sale(here.db, "bench", sale.sale_id, sale.version, {"opens_at": soon}, min_turn_window_s=floor_s)
    publish_sale(here.redis, read_publication(here.db, sale.sale_id))
    room, came_s = SaleKeys(sale.sale_id).room, {}

    def stage_is(*wanted: str) -> bool:
        stage, opened_ms = here.redis.hmget(room, "draw", "opened_ms")
        if stage in wanted:
            came_s[wanted[0]] = time.time() - int(opened_ms) / 1000
        return stage in wanted

    await_true(lambda: stage_is("listed", "drawn"), "the list is public", WITHIN_S, look_every_s=LOOK_EVERY_S)
    await_true(lambda: stage_is("drawn"), "everybody has a number", WITHIN_S, look_every_s=LOOK_EVERY_S)
    return came_s["listed"], came_s["drawn"]


def _assert_numbered(here: Stage, sale: Sale, size: int) -> None:
    keys = SaleKeys(sale.sale_id)
    numbered = int(here.redis.zcount(keys.line, 1, size)) + int(here.redis.hlen(keys.served))
    assert numbered == size, f"{numbered} of {size} have a number"


def _is_script(entry: dict[str, object]) -> bool:
    return "EVALSHA" in str(entry["command"]).upper()


class _Crowd:
    """People of the lobby who ask for their place at one pace while the context lasts; how long each waited for the answer."""

    def __init__(self, port: int, polls: list[bytes]) -> None:
        self._port = port
        self._polls = polls
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._answers: list[Answer] = []

    def __enter__(self) -> _Crowd:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        at = 0
        while not self._over.is_set():
            now = [self._polls[(at + one) % len(self._polls)] for one in range(POLLS_PER_S)]
            self._answers += arrive(self._port, now, POLLS_PER_S)
            at += POLLS_PER_S

    @property
    def took_ms(self) -> list[float]:
        """How long each waited."""
        refused = {answer.status for answer in self._answers} - {200}
        assert not refused, f"polls were answered {refused}"
        return [answer.took_s * 1000 for answer in self._answers]
