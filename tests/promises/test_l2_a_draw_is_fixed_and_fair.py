"""L2 in a draw: an order fixed before the lobby opened, secret until the opening, and the same for everybody after it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from tests.promises.one_draw import SEED, OneDraw, drawn_order
from tests.promises.one_sale import LEADER, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.drawing import Drawing
from waiting_room.place import Place
from waiting_room.polling import OPENING_RATE_PER_S
from waiting_room.refusals import LineClosed, NotCalled, NotCalledYet, RoomUnavailable
from waiting_room.states import TicketState
from waiting_room.ticking import TickReply

CROWD = [f"buyer{n}" for n in range(60)]


@pytest.fixture
async def sale(redis_async: Redis, books: PaperBooks) -> OneDraw:
    return await OneDraw(redis_async, books=books).begin_lobby()


async def test_the_lobby_is_called_in_the_order_of_the_draw_and_whoever_comes_later_behind_it(
    sale: OneDraw,
) -> None:
    for name in CROWD:
        assert (await sale.join(name)).created
    await sale.open()
    late = [f"late{n}" for n in range(5)]
    for name in late[:3]:
        await sale.join(name)
    await sale.draw()
    for name in late[3:]:
        await sale.join(name)
    wanted = [*drawn_order(CROWD), *late]
    assert [(await sale.look(name)).number for name in wanted] == list(range(1, len(wanted) + 1))
    assert [(await sale.look(name)).position for name in wanted] == list(range(1, len(wanted) + 1))
    for _ in range(4):
        await sale.tick(rate=20)
    assert await sale.called() == [ticket_of(name) for name in wanted]
    assert (await sale.list()).at(0) == ticket_of(wanted[0])


async def test_nothing_that_anybody_can_ask_tells_the_first_of_a_lobby_from_the_last(sale: OneDraw) -> None:
    """Two tickets at opposite ends, every answer, before the opening and while the list is made."""
    for name in CROWD:
        await sale.join(name)
    first, last = drawn_order(CROWD)[0], drawn_order(CROWD)[-1]
    room, at = sale.room, sale.sale_id
    room._chance = lambda: 0.5

    async def everything(name: str) -> list[Any]:
        seen: list[Any] = [await sale.join(name), await sale.look(name), sale.tickets[name].number]
        with pytest.raises(NotCalledYet) as early:
            await room.claim(at, ticket_of(name), name, kid="k1")
        with pytest.raises(NotCalled):
            await room.extend(at, ticket_of(name))
        seen.append(early.value.retry_after_s)
        return [
            msgspec.structs.replace(part, poll_after_ms=0) if isinstance(part, Place) else part
            for part in seen
        ]

    assert await everything(first) == await everything(last)
    await sale.change(opens_at_ms=10**13 - 1)
    assert (await sale.look(first)).poll_after_ms == (await sale.look(last)).poll_after_ms
    place = await sale.look(first)
    assert (place.state, place.number, place.position, place.ahead, place.estimate) == (
        TicketState.LOBBY,
        *(None, None, None, None),
    )
    await sale.open()
    assert await everything(first) == await everything(last)
    place = await sale.look(last)
    assert (place.state, place.number, place.ahead) == (TicketState.WAITING, None, None)
    line = (await room.lines([at]))[at]
    assert (line.now_serving, line.gate, line.draw) == (0, "drawing", "drawing")


async def test_leaving_and_coming_again_rolls_no_other_dice(sale: OneDraw) -> None:
    for name in CROWD:
        await sale.join(name)
    for name in CROWD[::2]:
        await sale.room.leave(sale.sale_id, ticket_of(name))
        assert (await sale.look(name)).state is TicketState.LEFT
        assert (await sale.join(name)).created
    await sale.open()
    await sale.draw()
    assert [(await sale.look(name)).number for name in drawn_order(CROWD)] == list(range(1, 61))


async def test_nobody_is_called_before_the_list_is_public(sale: OneDraw, books: PaperBooks) -> None:
    for name in CROWD:
        await sale.join(name)
    opened = await sale.open()
    assert (opened.calls, opened.gate, opened.draw) == (0, "drawing", "drawing")
    for _ in range(3):
        assert (await sale.tick(1_000)).calls == 0
    books.torn.add(sale.sale_id)
    with pytest.raises(OSError, match="torn"):
        await sale.draw()
    assert (await sale.tick(1_000)).calls == 0
    books.torn.clear()
    assert (await sale.draw()).draw == "drawn"
    assert (await sale.tick(1_000)).calls > 0


async def test_nobody_of_a_large_lobby_is_called_so_early_that_the_turn_would_end_unseen(
    sale: OneDraw,
) -> None:
    for name in CROWD[:3]:
        await sale.join(name)
    await sale.open()
    await sale.draw()
    crowd, seen_within_ms = 1_000_000, 45_000
    spread_ms = crowd * 1_000 // OPENING_RATE_PER_S
    await sale.client.hset(sale.keys.room, "lobby_size", crowd)
    for opened_ago_ms, calls in ((spread_ms - seen_within_ms - 5_000, 0), (spread_ms - seen_within_ms, 3)):
        opened_ms = int(time.time() * 1000) - opened_ago_ms
        await sale.client.hset(sale.keys.room, "opened_ms", opened_ms)
        reply = await sale.tick()
        assert (reply.calls, reply.gate) == (calls, "open" if calls else "drawing")


async def test_whoever_leaves_while_the_list_is_made_goes_to_the_end(sale: OneDraw) -> None:
    for name in CROWD:
        await sale.join(name)
    await sale.open()
    first = drawn_order(CROWD)[0]
    await sale.room.leave(sale.sale_id, ticket_of(first))
    assert (await sale.join(first)).created
    await sale.draw()
    assert (await sale.look(first)).number == len(CROWD)
    assert [(await sale.look(name)).number for name in drawn_order(CROWD)[1:]] == list(range(1, 60))


async def test_an_unopened_lobby_stays_a_lobby_though_its_time_has_come(sale: OneDraw) -> None:
    """The opening is the leader's write, not a time that every process judges by its own clock."""
    await sale.join("ann")
    await sale.change(opens_at_ms=1)
    assert (await sale.join("bob")).state is TicketState.LOBBY
    line = (await sale.room.lines([sale.sale_id]))[sale.sale_id]
    assert line.phase == "lobby"
    await sale.tick()
    assert (await sale.join("cleo")).state is TicketState.WAITING
    await sale.change(opens_at_ms=10**13 - 1)
    assert (await sale.join("dora")).state is TicketState.WAITING, "opened once, opened for ever"
    await sale.draw()
    assert [(await sale.look(name)).number for name in ("cleo", "dora")] == [3, 4]


@pytest.mark.parametrize("control", ["closed", "cancelled"])
async def test_a_sale_that_ends_before_its_opening_is_never_drawn(sale: OneDraw, control: str) -> None:
    await sale.join("ann")
    await sale.change(control=control)
    assert (await sale.open()).draw == "lobby"
    with pytest.raises(LineClosed):
        await sale.join("bob")


async def test_a_paused_sale_is_drawn_and_waits(sale: OneDraw) -> None:
    for name in CROWD:
        await sale.join(name)
    await sale.change(control="paused")
    await sale.open()
    assert (await sale.draw()).gate == "paused"
    assert (await sale.look(drawn_order(CROWD)[4])).number == 5


async def test_a_join_racing_the_opening_gets_exactly_one_place(sale: OneDraw) -> None:
    """Joins from many clients at once, the opening in the middle of them."""
    clients = [OneDraw(sale.client, books=sale.books) for _ in range(4)]
    names = [f"racer{n}" for n in range(400)]
    crowded = asyncio.Event()

    async def run(client: OneDraw, mine: list[str]) -> None:
        for at, name in enumerate(mine):
            await client.join(name)
            if at == 40:
                crowded.set()

    async def opening() -> None:
        await crowded.wait()
        await sale.open()

    await asyncio.gather(opening(), *(run(client, names[n::4]) for n, client in enumerate(clients)))
    for client in clients:
        sale.tickets |= client.tickets
    counts = {name: -ticket.number for name, ticket in sale.tickets.items()}
    in_lobby = [name for name in names if counts[name] == 0]
    after = {name: count for name, count in counts.items() if count > 0}
    assert in_lobby, "nobody came before the opening: the race did not take place"
    assert after, "nobody came after the opening"
    assert sorted(after.values()) == list(range(1, len(after) + 1))
    await sale.draw()
    numbers = {name: (await sale.look(name)).number for name in names}
    assert [numbers[name] for name in drawn_order(in_lobby)] == list(range(1, len(in_lobby) + 1))
    assert all(numbers[name] == len(in_lobby) + count for name, count in after.items())


async def test_a_leader_that_dies_anywhere_leaves_a_draw_that_another_one_ends(
    sale: OneDraw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step of the draw is the last of some leader; the list is the one that an undisturbed leader makes."""
    monkeypatch.setattr("waiting_room.drawing.PAGE", 7)
    monkeypatch.setattr("waiting_room.drawing.AT_ONCE", 5)
    monkeypatch.setattr("waiting_room.drawing.MANY", 10)
    for name in CROWD:
        await sale.join(name)
    await sale.open()
    late = [f"late{n}" for n in range(12)]
    for name in late:
        await sale.join(name)
    killed = 0

    class Killed(Exception):
        pass

    class Doomed(Drawing):
        """The draw of a leader that is killed right after its n-th step, n growing from one leader to the next."""

        steps_left = 0

        async def go_on(self, reply: TickReply) -> bool:
            self.steps_left = 1 + killed % 7
            return await super().go_on(reply)

    async def step(script: Any, *args: Any) -> str:
        answer = await real_step(script, *args)
        assert isinstance(sale.drawing, Doomed)
        sale.drawing.steps_left -= 1
        if sale.drawing.steps_left == 0:
            raise Killed(script)
        return answer

    real_step = sale.room.draw_step
    monkeypatch.setattr(sale.room, "draw_step", step)
    while (reply := await sale.tick(rate=0)).draw != "drawn":
        sale.drawing = Doomed(sale.sale_id, sale.room, sale.books, token=LEADER)
        with suppress(Killed):
            await sale.drawing.go_on(reply)
        killed += 1
        assert killed < 500
    assert killed > 10
    wanted = [*drawn_order(CROWD), *late]
    assert [(await sale.look(name)).number for name in wanted] == list(range(1, len(wanted) + 1))


async def test_a_room_that_is_told_no_score_gives_no_place_in_a_lobby(sale: OneDraw) -> None:
    """A gateway that has not heard yet that the sale is drawn."""
    with pytest.raises(RoomUnavailable):
        await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert await sale.client.zcard(sale.keys.line) == 0


async def test_the_seed_is_nowhere_in_redis(sale: OneDraw) -> None:
    for name in CROWD:
        await sale.join(name)
    await sale.open()
    await sale.draw()
    for key in await sale.client.keys("*"):
        kept = await sale.client.dump(key)
        for form in (SEED, SEED.hex().encode()):
            assert form not in (kept if isinstance(kept, bytes) else str(kept).encode())
