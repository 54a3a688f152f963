"""Accepting orders over HTTP, and how long a buyer then waits for the decision."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import redis

from load.arrivals import arrive
from load.figures import Figure, interleave, median_ratio, middle, quantile, shown
from load.generator import Requests, ask, ask_once, request
from load.rows.lanes import account, drained, lane_of, peer, people, scaled
from load.rows.polls import rates
from load.stage import PRODUCT, Stage, await_true, stage
from shop.sales.reading import Sale
from waiting_room.keys import SaleKeys
from waiting_room.passes import Pass, PassSigner

ORDERS = 4_000
ROUNDS = 3
LATENCY_S = 8.0
BODY = 800
PASS_S = 3600


def against_round_trip(scale: float = 1.0) -> Iterator[Figure]:
    """Accepted orders/s against a handler that awaits one Redis round trip; nobody drains meanwhile."""
    count = scaled(ORDERS, scale)
    with stage(lane_max_length=1_000_000, lane_max_age_s=3600) as here:
        sale = _selling(here)
        path = f"/api/v1/sales/{sale.slug}/orders"
        orders = Requests(here.folder / "orders", orders_of(here, sale, (ROUNDS + 1) * count))
        peer_port = here.peer("round_trip", path, str(BODY))
        plain = Requests(here.folder / "plain", [request("PUT", path)])
        ask_once(here.port, orders, count)
        ask(peer_port, plain, seconds=1)
        runs = interleave(
            {
                "accept": lambda: ask_once(here.port, orders, count),
                "peer": lambda: ask(peer_port, plain, seconds=2),
            },
            ROUNDS,
        )
        yield Figure(
            "accept_vs_round_trip",
            median_ratio(rates(runs["accept"]), rates(runs["peer"])),
            "ratio",
            0.3,
            "higher",
            f"{shown(middle(rates(runs['accept'])))} orders/s answered 202, each with a session and a pass seen for the "
            f"first time, against {shown(middle(rates(runs['peer'])))} requests/s",
        )


def until_decided(scale: float = 1.0) -> Iterator[Figure]:
    """From the 202 to the published decision, at half the rate that the whole path sustains here."""
    count = scaled(ORDERS, scale)
    with stage() as here:
        people(here, 2 * count)
        sale = _selling(here)
        here.run("work", "--queue", "lanes")
        here.run("sweep")
        everything = orders_of(here, sale, 2 * count)
        orders = Requests(here.folder / "orders", everything[:count])
        began = time.perf_counter()
        ask_once(here.port, orders, count, connections=16)
        await_true(lambda: not here.redis.exists(SaleKeys(sale.sale_id).lane), "all is decided", 60)
        sustained = count / (time.perf_counter() - began)
        paced = everything[count : count + min(count, int(sustained / 2 * LATENCY_S))]
        with decisions(here, sale) as decided_at:
            answers = arrive(here.port, paced, sustained / 2)
            assert all(answer.status == 202 for answer in answers), {answer.status for answer in answers}
            accepted_at = {msgspec.json.decode(answer.body)["order_id"]: answer.at for answer in answers}
            await_true(lambda: decided_at.keys() >= accepted_at.keys(), "every order is decided", 30)
        waits = [max(0.0, decided_at[order_id] - at) * 1000 for order_id, at in accepted_at.items()]
        peers = _latencies_of_peers(here, scale)
        detail = f"at {shown(sustained / 2)} orders/s, half of {shown(sustained)}; peers at half of theirs: {peers}"
        yield Figure("accepted_to_decided_p50", quantile(waits, 0.5), "ms", 50, "lower", detail)
        yield Figure("accepted_to_decided_p99", quantile(waits, 0.99), "ms", 250, "lower", detail)


def _selling(here: Stage) -> Sale:
    here.run("serve")
    here.run("admit")
    sale = here.open_sale()
    here.await_line(sale)
    return sale


def orders_of(here: Stage, sale: Sale, count: int) -> list[bytes]:
    """Whole requests of so many buyers, each with a session, a pass and an Idempotency-Key of its own."""
    path = f"/api/v1/sales/{sale.slug}/orders"
    keys = here.settings.keyring.derive("pass")
    signer = PassSigner(keys.active, keys.by_id)
    body = msgspec.json.encode({"lines": [{"product_id": PRODUCT, "quantity": 1}]})
    now = int(time.time())
    made = []
    for number in range(count):
        ticket_id = secrets.token_urlsafe(10)[:14]
        admission = Pass(
            sale_id=sale.sale_id,
            ticket_id=ticket_id,
            account_id=account(number),
            iat=now,
            exp=now + PASS_S,
            jti=f"{ticket_id}.1",
            kid=keys.active,
        )
        headers = {
            "Authorization": f"Bearer {here.bearer(account(number))}",
            "Admission-Pass": signer.sign(admission),
            "Idempotency-Key": str(uuid.uuid4()),
            "Content-Type": "application/json",
        }
        made.append(request("POST", path, headers, body))
    return made


@contextmanager
def decisions(here: Stage, sale: Sale) -> Iterator[dict[str, float]]:
    """The moment (time.perf_counter) at which the decision on each order was published, as Redis tells of it."""
    client = redis.Redis.from_url(here.settings.redis_url, decode_responses=True)
    client.config_set("notify-keyspace-events", "K$")
    prefix = f"__keyspace@0__:{SaleKeys(sale.sale_id).result('')}"
    heard = client.pubsub(ignore_subscribe_messages=True)
    found: dict[str, float] = {}

    def note(message: dict[str, str]) -> None:
        found.setdefault(message["channel"].removeprefix(prefix), time.perf_counter())

    heard.psubscribe(**{f"{prefix}*": note})
    listener = heard.run_in_thread(sleep_time=0.5, daemon=True)
    try:
        yield found
    finally:
        listener.stop()
        listener.join(5)
        heard.close()
        client.close()


def _latencies_of_peers(here: Stage, scale: float) -> str:
    """What the other ways do at half of their own rates, in a few words."""
    pattern = lane_of(here, scaled(1_000, scale))
    drained(here, [pattern])
    words = []
    for way, count in (("lock", scaled(600, scale)), ("row-lock", scaled(1_000, scale))):
        rate = peer(here, way, pattern, count)["rate"]
        found = peer(here, way, pattern, count, rate / 2)
        words.append(f"{way} {shown(found['p50_ms'])}/{shown(found['p99_ms'])} ms at {shown(rate / 2)}/s")
    return ", ".join(words)
