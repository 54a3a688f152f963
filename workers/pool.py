"""Worker processes: each serves exactly one RQ queue, and dead ones are replaced.

    supervisor (`firstcome work`)  ->  worker (waits for doorbells)  ->  work-horse (one job, then gone)

The supervisor holds no connection. A worker that dies takes its work-horse along, a supervisor that dies its workers; what a
doorbell was about stays in the lane, and the sweeper rings again. Knows RQ; what a job does stands in `jobs.py`.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess

import structlog
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Queue, Worker
from rq.serializers import JSONSerializer

import workers.jobs  # noqa: F401 - so that a forked work-horse finds everything loaded
from workers.orphans import end_with_parent
from workers.runtime import Runtime, current, install

log = structlog.get_logger(__name__)

# RQ waits `worker_ttl - 15` s for a job and looks after its registries only in between, so this is what makes
# `MAINTENANCE_S` true for a worker without work.
WORKER_TTL_S = 20
MAINTENANCE_S = 5
MONITORING_S = 5
STOP_WITHIN_S = 8.0
RESTART_AFTER_S = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

RuntimeFactory = Callable[[], Runtime]


class OneQueueWorker(Worker):
    """RQ's forking worker, with a work-horse that ends with it and a connection of the work-horse's own."""

    max_connection_wait_time = 2.0  # RQ's minute would leave accepted orders waiting after Redis is back

    def subscribe(self) -> None:
        """RQ's remote commands are not used. Without the thread that listens for them a worker forks cleanly, and a signal
        always interrupts its waiting: with several threads it may reach one that is of no use.
        """

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Called by RQ every few seconds. After Redis was emptied the worker is not listed any more: it signs in again."""
        if pipeline is None and not self.connection.hexists(self.key, "birth"):
            self.connection.delete(self.key)
            self.register_birth()  # type: ignore[no-untyped-call]
        super().heartbeat(timeout, pipeline)

    def setup_work_horse_signals(self) -> None:
        """Called by RQ first thing in a new work-horse."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        assert self.pid is not None
        end_with_parent(self.pid, signal.SIGKILL)
        # Whatever the worker may have opened belongs to the worker: forget it without closing it.
        current().db.engine.dispose(close=False)


def run_workers(runtime_factory: RuntimeFactory, queue: str, processes: int) -> None:
    """Keep `processes` workers at work on one queue until SIGTERM or SIGINT, then let them finish and return.

    `runtime_factory` is called once in each worker process. Must be called in the main thread.
    """
    with _stop_signal() as stop:
        supervisor = _Supervisor(runtime_factory, queue, processes)
        supervisor.run(stop)


def work(runtime: Runtime, queue: str) -> None:
    """Be one worker process on one queue, until SIGTERM or SIGINT."""
    install(runtime)
    _quieten_collector()
    connection = runtime.rq_redis
    lane = Queue(queue, connection=connection, serializer=JSONSerializer)
    worker = OneQueueWorker(
        [lane],
        connection=connection,
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL_S,
        maintenance_interval=MAINTENANCE_S,
        job_monitoring_interval=MONITORING_S,
        log_job_description=False,
    )
    worker.log_result_lifespan = False
    worker.work(logging_level="WARNING")


def _quieten_collector() -> None:
    """Keep the collector away from what is loaded: a full pass would copy those pages in every forked work-horse, and walking
    the rows of a large batch again and again took a tenth of its time. A work-horse lives for seconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@dataclass
class _Place:
    """One of the pool's places: the process that fills it, or when it shall be filled again."""

    process: ForkProcess | None = None
    started_at: float = 0.0
    fill_at: float = 0.0


class _Supervisor:
    def __init__(self, runtime_factory: RuntimeFactory, queue: str, processes: int) -> None:
        self._factory = runtime_factory
        self._queue = queue
        self._places = [_Place() for _ in range(processes)]
        self._fork = multiprocessing.get_context("fork")

    def run(self, stop: socket.socket) -> None:
        while True:
            for place in self._places:
                self._fill(place)
            ready = wait([stop, *self._sentinels()], timeout=self._until_next_fill())
            if stop in ready:
                break
            for place in self._places:
                self._note_death(place)
        self._stop()

    def _fill(self, place: _Place) -> None:
        if place.process is None and time.monotonic() >= place.fill_at:
            place.process = self._fork.Process(
                target=_worker_process, args=(self._factory, self._queue, os.getpid())
            )
            place.started_at = time.monotonic()
            # Held back until the child has handlers of its own, else it could miss its end.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            place.process.start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _note_death(self, place: _Place) -> None:
        if place.process is None or place.process.is_alive():
            return
        log.warning(
            "worker_restarted", queue=self._queue, pid=place.process.pid, exit_code=place.process.exitcode
        )
        place.process.close()
        place.process = None
        lived = time.monotonic() - place.started_at
        place.fill_at = time.monotonic() + (RESTART_AFTER_S if lived < RESTART_AFTER_S else 0)

    def _stop(self) -> None:
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                log.warning("worker_killed", queue=self._queue, pid=process.pid)
                process.kill()
                process.join()

    def _sentinels(self) -> list[int]:
        return [place.process.sentinel for place in self._places if place.process is not None]

    def _until_next_fill(self) -> float | None:
        empty = [place.fill_at for place in self._places if place.process is None]
        return max(0.0, min(empty) - time.monotonic()) if empty else None


def _worker_process(factory: RuntimeFactory, queue: str, supervisor_pid: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    end_with_parent(supervisor_pid, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    try:
        work(factory(), queue)
    except RedisConnectionError as error:
        # No trace: Redis is away, and the supervisor tries again in a second.
        log.warning("worker_without_redis", queue=queue, error=str(error))
        raise SystemExit(1) from None


@contextlib.contextmanager
def _stop_signal() -> Iterator[socket.socket]:
    """A socket that becomes readable when this process is asked to stop."""
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    wakeup = signal.set_wakeup_fd(told.fileno())
    try:
        for number in before:
            signal.signal(number, lambda _number, _frame: None)
        yield heard
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.close()
        told.close()
