"""What the workers do to a lane, a pass mark and the doorbell."""

from __future__ import annotations

import json
from pathlib import Path

import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from firstcome import clients
from shop.orders.entry import EntryLine, OrderEntry, encode_entry
from waiting_room.keys import SaleKeys
from workers.doorbell import Doorbell
from workers.lane_reader import Decision, LaneReader
from workers.lanes import BELL_MS

SALE = "sale000001"
KEYS = SaleKeys(SALE)


def entry(number: int) -> OrderEntry:
    return OrderEntry(
        order_id=f"order{number}",
        sale_id=SALE,
        account_id=f"account{number}",
        pass_jti=f"ticket{number}.1",
        pass_exp_ms=2_000_000_000_000,
        lines=[EntryLine(product_id="seat", quantity=1)],
        address_id=None,
        fingerprint="f",
        accepted_no=number,
        accepted_at_ms=1_700_000_000_000 + number,
    )


def put(client: redis.Redis, *numbers: int) -> None:
    client.rpush(KEYS.lane, *(encode_entry(entry(number)) for number in numbers))


def waiting(client: redis.Redis) -> list[str]:
    return [json.loads(text)["order_id"] for text in client.lrange(KEYS.lane, 0, -1)]


def test_the_head_is_read_in_order_and_stays(redis_sync: redis.Redis) -> None:
    put(redis_sync, 1, 2, 3)

    assert LaneReader(redis_sync).head(SALE, 2) == [entry(1), entry(2)]
    assert waiting(redis_sync) == ["order1", "order2", "order3"]


def test_nobody_need_ring_while_somebody_looks_but_soon_if_that_one_dies(redis_sync: redis.Redis) -> None:
    reader = LaneReader(redis_sync)
    reader.head(SALE, 1)
    assert not reader.take_bell(SALE)
    assert 0 < redis_sync.pttl(KEYS.lane_bell) <= BELL_MS

    put(redis_sync, 1)

    assert reader.leave(SALE) == 1
    assert reader.take_bell(SALE)


def test_waiting_for_an_entry_moves_nothing(redis_sync: redis.Redis) -> None:
    reader = LaneReader(redis_sync)
    assert not reader.await_entry(SALE, 0.0001)
    put(redis_sync, 1, 2)

    assert reader.await_entry(SALE, 0.5)

    assert waiting(redis_sync) == ["order1", "order2"]


def test_only_decided_entries_at_the_head_are_taken_off(redis_sync: redis.Redis) -> None:
    reader = LaneReader(redis_sync)
    put(redis_sync, 1, 2, 3, 4)

    assert reader.pop_decided(SALE, ["order1", "order2", "order4"]) == 2
    assert waiting(redis_sync) == ["order3", "order4"]


def test_taking_off_what_another_worker_took_off_changes_nothing(redis_sync: redis.Redis) -> None:
    reader = LaneReader(redis_sync)
    put(redis_sync, 1, 2, 3)
    reader.pop_decided(SALE, ["order1", "order2"])

    assert reader.pop_decided(SALE, ["order1", "order2"]) == 0
    assert waiting(redis_sync) == ["order3"]
    assert reader.pop_decided(SALE, []) == 0


def test_an_entry_that_stands_twice_is_taken_off_only_as_often_as_it_was_named(
    redis_sync: redis.Redis,
) -> None:
    reader = LaneReader(redis_sync)
    put(redis_sync, 1, 1, 2)

    assert reader.pop_decided(SALE, ["order1", "order1"]) == 2
    assert waiting(redis_sync) == ["order2"]


def test_a_rejected_order_gives_its_pass_back_but_never_that_of_the_order_after_it(
    redis_sync: redis.Redis,
) -> None:
    reader = LaneReader(redis_sync)
    redis_sync.hset(KEYS.passes, mapping={"t1.1": "order1", "t2.1": "later-order", "t3.1": "left"})

    given_back = reader.give_back(SALE, [("t1.1", "order1"), ("t2.1", "order2"), ("t3.1", "order3")])

    assert given_back == 1
    assert redis_sync.hgetall(KEYS.passes) == {"t2.1": "later-order", "t3.1": "left"}


def test_results_are_published_for_an_hour(redis_sync: redis.Redis) -> None:
    LaneReader(redis_sync).publish_results(
        SALE,
        [
            Decision(order_id="order1", state="reserved", seq=1),
            Decision(order_id="order2", state="rejected", seq=2, reason="sold_out"),
        ],
    )

    assert json.loads(redis_sync.get(KEYS.result("order2")) or "") == {
        "order_id": "order2",
        "state": "rejected",
        "seq": 2,
        "reason": "sold_out",
    }
    assert 3500 < redis_sync.ttl(KEYS.result("order1")) <= 3600


def test_a_doorbell_is_a_short_lived_job_without_an_order(
    redis_sync: redis.Redis, rq_redis: redis.Redis
) -> None:
    assert Doorbell(rq_redis).ring(SALE)

    queue = Queue("lanes", connection=rq_redis, serializer=JSONSerializer)
    [job_id] = queue.get_job_ids()
    job = Job.fetch(job_id, connection=rq_redis, serializer=JSONSerializer)
    assert (job.func_name, job.args) == ("workers.jobs.drain", [SALE])
    assert job.result_ttl == 0
    assert 0 < rq_redis.ttl(job.key) <= 60


def test_the_outbox_is_rung_for_once_while_nobody_answers(
    redis_sync: redis.Redis, rq_redis: redis.Redis
) -> None:
    doorbell = Doorbell(rq_redis)

    assert [doorbell.ring_outbox() for _ in range(3)] == [True, False, False]
    assert Queue("outbox", connection=rq_redis).count == 1


def test_a_doorbell_that_cannot_ring_is_no_error(tmp_path: Path) -> None:
    nobody = clients.rq_redis(f"unix://{tmp_path}/nobody.sock")
    doorbell = Doorbell(nobody)

    assert not doorbell.ring(SALE)
    assert not doorbell.ring_outbox()
