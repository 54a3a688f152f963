"""Connections that break off, answers that are lost although the work was done, and ways on which everything is slow."""

from __future__ import annotations

import time

from tests.faults.scene import Scene, fault, sighted
from tests.faults.ways import Condition, WayProcess

REFUSED_S = 2.0
SLOW_S = 4.0
SLOW = Condition(delay_s=0.3)
LOST_ANSWERS = 12


@fault("connections cut", quick=True)
def cut(scene: Scene) -> str:
    """Every connection to Redis and the database ends in the middle of whatever it does, and new ones are refused for a while."""
    ways = (scene.stage.to_redis, scene.stage.to_database)
    for way in ways:
        way.become(Condition(refusing=True))
    count = sum(way.cut() for way in ways)
    time.sleep(REFUSED_S)  # the fault is this time itself
    for way in ways:
        way.become(Condition())
    return f"{count} connections"


@fault("connections slow")
def slow(scene: Scene) -> str:
    """Every answer of Redis and the database takes 300 ms longer: a sale goes on slowly, and in order."""
    ways = (scene.stage.to_redis, scene.stage.to_database)
    for way in ways:
        way.become(SLOW)
    time.sleep(SLOW_S)  # the fault is this time itself
    for way in ways:
        way.become(Condition())
    return "both servers"


@fault("commits unanswered", quick=True)
def commits(scene: Scene) -> str:
    """The database commits and the answer is lost: whoever asked cannot know, does it again, and it is done once."""
    return _deaf(scene.stage.to_database, "COMMIT")


@fault("scripts unanswered", quick=True)
def scripts(scene: Scene) -> str:
    """Redis runs a script and the answer is lost: an accepted order, a call or a claim is found again, not made twice."""
    return _deaf(scene.stage.to_redis, "EVALSHA")


def _deaf(way: WayProcess, words: str) -> str:
    way.become(Condition(deaf_to=words, times=LOST_ANSWERS))
    try:
        sighted(lambda: way.lost() >= LOST_ANSWERS, f"{LOST_ANSWERS} answers to {words} were lost", 30)
    finally:
        way.become(Condition())
    return f"{LOST_ANSWERS} answers to {words}"
