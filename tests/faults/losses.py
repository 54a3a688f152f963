"""Stores that lose what they knew, and rows that somebody else holds."""

from __future__ import annotations

import time

import pymysql

from tests.faults.scene import Scene, fault, resume, sighted, stopping
from waiting_room.keys import SaleKeys

# Beyond what a statement waits for a row lock, so that a batch gives up and comes again.
LOCKED_S = 7.0


@fault("Redis emptied", quick=True, log_lost=True)
def emptied(scene: Scene) -> str:
    """FLUSHALL with accepted orders undecided: their receipts bring them back into their lanes, once, in the order of acceptance."""
    stage = scene.stage
    stopped = [
        *stopping(stage.workers),
        *stopping(stage.work_horses),
    ]  # in this order: a stopped worker makes no new one
    try:
        wanted = max(1, scene.wave // 3)
        sighted(lambda: _waiting(scene) >= wanted, f"{wanted} orders wait undecided", 30)
        gone = _waiting(scene)
        stage.store.flushall()
    finally:
        resume(stopped)
    return f"{gone} undecided orders"


def _waiting(scene: Scene) -> int:
    return sum(scene.stage.store.llen(SaleKeys(lane.sale_id).lane) for lane in scene.lanes)


@fault("stock rows locked")
def locked(scene: Scene) -> str:
    """A foreign transaction sits on the stock for longer than anybody waits: nothing is rejected for it, all is decided after it."""
    connection = pymysql.connect(
        unix_socket=str(scene.stage.database.socket), user="root", database="firstcome"
    )
    ids = [lane.sale_id for lane in scene.lanes]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT sale_item_id FROM sale_items WHERE sale_id IN %s FOR UPDATE", (ids,))
        time.sleep(LOCKED_S)  # the fault is this time itself
        connection.rollback()
    finally:
        connection.close()
    return f"{len(ids)} rows for {LOCKED_S:.0f} s"


@fault("nothing")
def nothing(scene: Scene) -> str:
    """What the other rows are to be compared with: the same crowd, and nobody strikes."""
    return "nothing"
