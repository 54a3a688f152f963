"""Threads for what blocks: few, with a short queue, and nobody waits in it for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from gateway.bounded import BoundedPool
from gateway.refusals import Overloaded


@pytest.fixture
def pool() -> Iterator[BoundedPool]:
    """One thread and two places in its queue."""
    pool = BoundedPool(1, 2, "test", patience_s=0.05)
    yield pool
    pool.shutdown()


def test_a_full_queue_refuses_at_once(pool: BoundedPool) -> None:
    go_on = threading.Event()
    for _ in range(3):
        pool.submit(go_on.wait)
    assert pool.inside == 3
    with pytest.raises(Overloaded) as refused:
        pool.submit(go_on.wait)
    assert refused.value.retry_after_s >= 2
    go_on.set()


def test_whoever_waited_too_long_for_a_thread_is_refused_and_the_work_is_not_done(pool: BoundedPool) -> None:
    done: list[str] = []
    slow = pool.submit(lambda: time.sleep(0.1))
    late = pool.submit(done.append, "late")
    with pytest.raises(Overloaded):
        late.result(timeout=5)
    assert slow.result(timeout=5) is None, "what has begun is finished"
    assert done == []
    pool.submit(done.append, "in time").result(timeout=5)
    assert done == ["in time"]
    assert pool.inside == 0
