"""Thousands of random traces, run by a plain model of the room and by the real scripts, which agree after every step.

`make model ROUNDS=n SEED=s` runs any number; a failure prints its seed and the smallest trace that still fails.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator

import pytest
import structlog
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.model import drawing
from tests.model.runner import Runner
from tests.model.scripts import source_with_a_clock_of_its_own
from waiting_room import scripts

ROUNDS = int(os.environ.get("ROUNDS") or 150)
SEED = int(os.environ.get("SEED") or 0)


@pytest.fixture
async def runner(redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runner]:
    for name, value in (("PAGE", drawing.PAGE), ("AT_ONCE", drawing.AT_ONCE), ("SLICE_S", -1.0)):
        monkeypatch.setattr(f"waiting_room.drawing.{name}", value)  # a lobby of a few needs many steps
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    client: Redis = Redis.from_url(redis_server.url, decode_responses=True)
    raw: Redis = Redis.from_url(redis_server.url)
    await client.flushall()
    yield Runner(client, raw)
    await client.aclose()
    await raw.aclose()
    structlog.reset_defaults()


@pytest.mark.timeout(0)
async def test_the_model_and_the_scripts_agree_on_every_trace(runner: Runner) -> None:
    failure = await runner.first_failure(iter(range(SEED, SEED + ROUNDS)))
    assert failure is None, str(failure)


# What a slip of the pen would look like; each must be noticed within a few traces. A seventh of them by default, all by `make model`.
SLIPS = [
    ("tick", "redis.call('ZREM', UNSEEN, ticket)\n  local record", "local record"),
    ("tick", "due(TURNS, room.clock_ms)", "due(TURNS, room.clock_ms - 1)"),
    ("tick", "due(MISSED, room.comeback_ms)", "due(MISSED, room.clock_ms)"),
    ("tick", "room.clock_ms - MINUTE_MS", "room.clock_ms - MINUTE_MS - 1"),
    ("tick", "settings.capacity - slots_taken()", "settings.capacity - slots_taken() + 1"),
    ("tick", "+ redis.call('ZCARD', SHOPPING) + redis.call('ZCARD', ORDERING)", "+ redis.call('ZCARD', SHOPPING)"),
    ("tick", "if record.misses >= 2 then", "if record.misses >= 3 then"),
    ("tick", "if last[1] == ARGV[2] then return last[2] end", ""),
    ("tick", "    redis.call('ZREM', SHOPPING, ticket)\n    local record", "    local record"),
    ("tick", "      redis.call('ZREM', ORDERING, ticket)\n      redis.call('ZREM', SHOPPING, ticket)", ""),
    ("tick", "math.max(before and before.turn or 0, room.turns_before) + 1", "(before and before.turn or 0) + 1"),
    ("tick", "if control ~= 'halted' and control ~= 'paused'", "if control ~= 'halted'"),
    ("tick", "math.max(0, math.min(LONGEST_STEP_MS, tonumber(ARGV[3])))", "tonumber(ARGV[3])"),
    ("claim", "redis.call('ZREM', TURNS, ticket)", ""),
    ("claim", "redis.call('HINCRBY', ROOM, 'turns_ended', 1)", ""),
    ("leave", "    redis.call('ZREM', SHOPPING, ticket)\n", ""),
    ("leave", "record.state, record.ended = 'left', numbers_given(sale)", "record.state = 'left'"),
    ("join", "turn = record.turn, misses = 0", "turn = 0, misses = 0"),
    ("join", "redis.call('ZREM', MISSED, ticket)", ""),
    ("extend", "record.extended = true", ""),
    ("_shared", "if place <= (record.ended or 0) then return end", ""),
    ("_shared", "if stands and stands_before(sale, stands, place) then return end", ""),
    ("_shared", "phase_of(settings, stock, math.max(now, room.wall_ms),", "phase_of(settings, stock, now,"),
    ("relay", "if not is_later(told, known) then return end", ""),
    ("relay", "math.max(0, record.exp * 1000 - now)", "settings.pass_ms"),
    ("adopt", "math.max(theirs.turn, theirs.state == 'called' and had + 1 or had)", "theirs.turn"),
    ("adopt", "    redis.call('ZREM', key, ticket)\n", ""),
    ("confirm", "'turns_before', ARGV[6]", "'turns_before', '0'"),
    ("tick", "count_events('call', #tickets)", "count_events('call', 1)"),
    ("tick", "if not due or room.wall_ms < room.settled_ms then return end", "if not due then return end"),
    ("tick", "room.draw ~= 'drawn' or without_number > 0 or", "room.draw ~= 'drawn' or"),
    ("join", "if room.draw == 'lobby' then", "if false then"),
    ("join", "number = is_hidden(room, place) and 0 or place", "number = place"),
    ("lobby", "tonumber(begin[at + 1]) > last", "tonumber(begin[at + 1]) >= last"),
    ("number", "'lobby_size', ARGV[2]", "'lobby_size', '0'"),
    ("drawn", "#arrived / 2 == tonumber(ARGV[2]) or ", ""),
    ("confirm", "return known == 'drawn' and 'drawn' or 'listed'", "return 'listed'"),
    ("confirm", "(known and known ~= 'lobby')", "false"),
    ("_shared", "or (place < 0 and has_list(sale.room) and stands < sale.room.lobby_size + 1)", ""),
    ("_shared", "return sale.room.draw == 'lobby' and 0 or arrival_place(sale.room, given)", "return given"),
    ("_shared", "  if stands then note_gone(sale, ticket, stands) end\n", ""),
    ("_shared", "if is_number then redis.call('RPUSH', GONE, whole(place)) end", "if is_number and not is_hidden(sale.room, place) then redis.call('RPUSH', GONE, whole(place)) end"),
    ("leave", "  note_gone(sale, ticket, place)\n", ""),
    ("adopt", "  if scores[LINE] then note_gone(sale, ticket, tonumber(scores[LINE])) end\n", ""),
    ("claim", "slot_ms - sale.room.clock_ms", "slot_ms"),
    ("claim", "if record.state == 'admitted' and renew() then", "if false then"),
]  # fmt: skip


@pytest.mark.timeout(0)
async def test_a_slip_in_any_script_is_noticed(runner: Runner) -> None:
    for script, right, _ in SLIPS:
        text = scripts.source("look" if script == "_shared" else script)
        assert right in text, f"{script}.lua has changed: {right!r} is not there any more"
    unnoticed = []
    for script, right, wrong in SLIPS if "ROUNDS" in os.environ else SLIPS[::7]:

        def slipped(name: str, right: str = right, wrong: str = wrong) -> str:
            return source_with_a_clock_of_its_own(name).replace(right, wrong)

        trying = Runner(runner.client, runner.raw, beside=8, source=slipped)
        if await trying.first_found(iter(range(400))) is None:
            unnoticed.append((script, right, wrong))
    assert not unnoticed, "\n".join(map(str, unnoticed))
