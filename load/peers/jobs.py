"""The peer that gives every order an RQ job of its own, carried out by RQ's default worker: a process forked for each job.

python -m load.peers.jobs       RQ's own pool of two workers, everything imported beforehand
"""

from __future__ import annotations

import os

import redis
from rq.worker_pool import WorkerPool

from load.peers.orders import Task, connect, with_row_lock

QUEUE = "peer-orders"
WORKERS = 2


def take_order(task: Task) -> None:
    """Take one order in one transaction, on a connection of this job's own: a forked process cannot share one."""
    connection = connect(os.environ["FIRSTCOME_DATABASE_URL"])
    with_row_lock(connection, task, 0)
    connection.close()


def main() -> None:
    # The jobs are named after this module, which must be loaded under its own name before the workers fork.
    import load.peers.jobs  # noqa: F401

    connection = redis.Redis.from_url(os.environ["FIRSTCOME_RQ_REDIS_URL"])
    WorkerPool([QUEUE], connection=connection, num_workers=WORKERS).start(logging_level="WARNING")


if __name__ == "__main__":
    main()
