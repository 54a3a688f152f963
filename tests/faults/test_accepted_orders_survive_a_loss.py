"""Redis is emptied while accepted orders wait and the workers stand still: receipts bring every one of them back, in its order."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from firstcome import clients
from firstcome.settings import DEMO_FILE, load_settings
from shop.orders.entry import decode_entry
from shop.storage.database import Database
from shop.storage.tables import orders, sales
from tests.faults.crowd import PatientBuyer, tokens
from tests.running import RunningDemo, eventually
from waiting_room.keys import SaleKeys

BUYERS = 30
AT_ONCE = 10


def test_a_loss_of_redis_loses_no_accepted_order_and_lets_nobody_overtake(demo: RunningDemo) -> None:
    sale, product = demo.open_sale(BUYERS, calls_per_minute=6000, capacity=2 * BUYERS)
    settings = load_settings(demo.folder / DEMO_FILE)
    store, db = clients.redis_sync(settings.redis_url), Database(settings.database_url)
    buyers = [PatientBuyer(demo.url, token, sale, product) for token in tokens(demo, BUYERS)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        passes = list(threads.map(PatientBuyer.admission, buyers))
        workers = demo.processes("work", "--queue lanes")
        for worker in workers:
            worker.suspend()
        try:
            accepted = list(
                threads.map(lambda one: one[0].order(str(one[1])), zip(buyers, passes, strict=True))
            )
            lane = [decode_entry(entry).order_id for entry in store.lrange(lane_of(db, sale), 0, -1)]
            assert sorted(lane) == sorted(order["order_id"] for order in accepted)
            store.flushall()
        finally:
            for worker in workers:
                worker.resume()

        shown = list(zip(buyers, accepted, strict=True))
        random.Random(3).shuffle(shown)
        looks = list(threads.map(lambda one: one[0].look(one[1]["order_id"], one[1]["receipt"]), shown))
        assert {look["state"] for look in looks} == {"queued"}

        def decided() -> list[str] | None:
            mine = orders.c.order_id.in_(lane)
            query = select(orders.c.order_id).where(mine, orders.c.state == "reserved").order_by(orders.c.seq)
            found = db.read(lambda tx: tx.scalars(query))
            return list(found) if len(found) == len(lane) else None

        assert eventually(decided, "every order was decided", 60) == lane
        for buyer in buyers:
            buyer.close()
    assert demo.verb("reconcile").returncode == 0
    store.close()
    db.dispose()


def lane_of(db: Database, slug: str) -> str:
    """The Redis key of the sale's lane."""
    sale_id = db.read(lambda tx: tx.scalar(select(sales.c.sale_id).where(sales.c.slug == slug)))
    return SaleKeys(str(sale_id)).lane
