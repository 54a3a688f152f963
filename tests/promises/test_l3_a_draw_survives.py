"""L3 in a draw: the lobby, the list and every number survive an emptied Redis, whenever it is lost."""

from __future__ import annotations

import math

import pytest
from redis.asyncio import Redis

from tests.promises.one_draw import SEED, OneDraw, drawn_order
from tests.promises.one_sale import ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.draw import Entry, Published, commitment, faults_of, hash_of_list
from waiting_room.drawing import Drawing
from waiting_room.refusals import NoTicket
from waiting_room.states import TicketState

CROWD = [f"buyer{n}" for n in range(40)]


@pytest.fixture
async def sale(redis_async: Redis, books: PaperBooks) -> OneDraw:
    """A draw whose lobby is full."""
    sale = await OneDraw(redis_async, books=books).begin_lobby()
    for name in CROWD:
        await sale.join(name)
    await sale.copy_log()
    return sale


async def numbers(sale: OneDraw, names: list[str]) -> list[int | None]:
    return [(await sale.look(name)).number for name in names]


async def test_a_lobby_that_is_lost_comes_back_to_its_scores(sale: OneDraw) -> None:
    await sale.lose()
    for name in CROWD[::-1]:
        place = await sale.look(name)
        assert (place.state, place.number) == (TicketState.LOBBY, None)
    await sale.join("new")
    assert (await sale.open()).draw == "lobby", "everybody gets the time to come back"
    await sale.settle()
    await sale.tick()
    await sale.draw()
    everybody = [*CROWD, "new"]
    assert await numbers(sale, drawn_order(everybody)) == list(range(1, 42))


async def test_a_store_that_is_lost_while_the_list_is_made_lets_nobody_in_before_its_lobby(
    sale: OneDraw, books: PaperBooks
) -> None:
    await sale.open()
    arrived = ["first", "second"]
    for name in arrived:
        await sale.join(name)
    await books.note_opened(sale.sale_id, 1)
    await sale.lose()
    assert (await sale.tick()).draw == "gathering"
    assert (await sale.join("newcomer")).state is TicketState.WAITING
    for name in [*arrived[::-1], *CROWD]:
        assert (await sale.look(name)).number is None
    await sale.settle()
    assert (await sale.tick()).draw == "drawing"
    await sale.draw()
    assert await numbers(sale, drawn_order(CROWD)) == list(range(1, 41))
    behind = await numbers(sale, [*arrived, "newcomer"])
    assert behind[:2] == [41, 42]
    assert (behind[2] or 0) > 42
    for _ in range(3):
        await sale.tick(rate=50)
    assert (await sale.called()) == [ticket_of(name) for name in [*drawn_order(CROWD), *arrived, "newcomer"]]


async def test_after_the_draw_a_ticket_of_the_lobby_finds_its_number(sale: OneDraw) -> None:
    """Who slept through the draw holds no number, only the mark of the lobby, when the store is lost."""
    await sale.open()
    await sale.draw()
    awake, asleep = drawn_order(CROWD)[::2], drawn_order(CROWD)[1::2]
    await numbers(sale, awake)
    await sale.copy_log()
    await sale.lose()
    assert (await sale.draw()).draw == "drawn"
    assert await numbers(sale, awake) == list(range(1, 41, 2))
    assert await numbers(sale, asleep) == [None] * 20
    held = await sale.tick()
    assert (held.calls, held.gate, held.unnumbered) == (0, "drawing", 20), "nobody knows who is next"
    await sale.draw()
    assert await numbers(sale, asleep) == list(range(2, 41, 2))
    await sale.tick(rate=50)
    assert await sale.called() == [ticket_of(name) for name in drawn_order(CROWD)]


async def test_who_leaves_before_the_numbers_show_again_is_not_told_to_wait_when_they_do(
    sale: OneDraw,
) -> None:
    """Polls that are answered without asking the store know nobody but by what is gone."""
    await sale.open()
    await sale.draw()
    fourth = drawn_order(CROWD)[3]
    await sale.look(fourth)
    await sale.lose()
    place = await sale.look(fourth)
    assert (place.number, place.mark) == (None, 4)
    await sale.room.leave(sale.sale_id, ticket_of(fourth), sale.tickets[fourth])
    news = await sale.room.digest_news(sale.sale_id, 0, 0)
    assert {ticket_of(fourth), 4} <= set(news.gone), "told by its ticket now, and by its number in a moment"


async def test_a_devices_place_moves_to_an_account_when_both_have_their_numbers(sale: OneDraw) -> None:
    """The account's place of the lobby is back after a loss, and not numbered yet: nothing may lay another place over it."""
    await sale.open()
    await sale.draw()
    await sale.join("device")
    await sale.copy_log()
    await sale.lose()
    await sale.draw()
    first = drawn_order(CROWD)[0]
    assert await numbers(sale, ["device", first]) == [41, None]
    move = (sale.sale_id, ticket_of("device"), ticket_of(first), sale.tickets["device"])
    assert not await sale.room.adopt(*move)
    await sale.draw()
    assert await numbers(sale, ["device", first]) == [41, 1]
    assert await sale.room.adopt(*move)
    assert (await sale.look(first)).number == 1
    assert (await sale.look("device")).state is TicketState.LEFT


async def test_a_ticket_that_missed_the_list_stands_where_it_belongs_and_in_the_addendum(
    sale: OneDraw, books: PaperBooks
) -> None:
    """The lobby was lost, and some come back only after the list is public."""
    late = drawn_order(CROWD)[3:6]
    there = [name for name in drawn_order(CROWD) if name not in late]
    await sale.lose()
    await numbers(sale, there)
    await sale.open()
    await sale.settle()
    await sale.tick()
    await sale.draw()
    assert await numbers(sale, there) == list(range(1, 38))
    for name in late:
        await sale.look(name)
    await sale.draw()
    assert await numbers(sale, late) == [4, 4, 4], "between three and four, with the upper number"
    assert [(await sale.look(name)).ahead for name in drawn_order(CROWD)] == list(range(40))
    text = await books.list_text(sale.sale_id)
    rows = [row for row in await sale.room.read_calls(sale.sale_id, 1_000) if row.event == "addendum"]
    published = Published(
        sale_id=sale.sale_id,
        commitment=commitment(sale.sale_id, SEED),
        seed=SEED,
        size=37,
        list_hash=hash_of_list(text),
        addendum=tuple(Entry(row.ticket_id, float(row.detail)) for row in rows),
    )
    assert {row.ticket_id for row in rows} == {ticket_of(name) for name in late}
    assert list(faults_of(published, text)) == []
    await sale.tick(rate=50)
    assert await sale.called() == [ticket_of(name) for name in drawn_order(CROWD)]


async def test_a_missed_turn_of_the_addendum_comes_back_to_its_very_place(sale: OneDraw) -> None:
    late = drawn_order(CROWD)[0]
    await sale.lose()
    await numbers(sale, [name for name in CROWD if name != late])
    await sale.open()
    await sale.settle()
    await sale.tick()
    await sale.draw()
    await sale.look(late)
    await sale.draw()
    await sale.change(capacity=1)
    assert (await sale.tick(rate=1)).calls == 1
    assert await sale.state(late) == "called"
    await sale.pass_time(121)
    assert (await sale.join(late)).rejoined
    assert (await sale.look(late)).ahead == 0
    stands = float(await sale.client.zscore(sale.keys.line, ticket_of(late)) or 9)
    assert 0 < stands < 1
    assert math.ceil(stands) == (await sale.look(late)).number


async def test_while_the_store_lives_an_old_ticket_of_the_lobby_wins_nothing(sale: OneDraw) -> None:
    """Left in this store: neither replaying a ticket of before a loss nor joining again brings the place of the draw back."""
    await sale.lose()
    await numbers(sale, CROWD)
    old = sale.tickets[CROWD[0]]
    stale = type(old)(old.sale_id, old.ticket_id, 0, "an earlier store")
    await sale.open()
    await sale.settle()
    await sale.tick()
    await sale.draw()
    await sale.room.leave(sale.sale_id, ticket_of(CROWD[0]))
    sale.tickets[CROWD[0]] = stale
    assert (await sale.look(CROWD[0])).state is TicketState.LEFT
    sale.tickets[CROWD[0]] = stale
    assert ((await sale.join(CROWD[0])).number or 0) > 40
    sale.tickets[CROWD[0]] = stale
    assert ((await sale.look(CROWD[0])).number or 0) > 40
    numbered = drawn_order(CROWD[1:])[0]
    before = (await sale.look(numbered)).number
    sale.tickets[numbered] = type(old)(sale.sale_id, ticket_of(numbered), 0, "an earlier store")
    assert (await sale.look(numbered)).number == before
    assert (await sale.tick()).unnumbered == 0
    with pytest.raises(NoTicket):
        await sale.look("nobody")


async def test_a_restarted_store_goes_on_numbering_where_it_stood(
    sale: OneDraw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is public, half of the lobby has its numbers, and the store comes back with its data."""
    monkeypatch.setattr("waiting_room.drawing.AT_ONCE", 10)
    monkeypatch.setattr("waiting_room.drawing.SLICE_S", 0.0)
    await sale.open()
    await sale.join("late")
    while (reply := await sale.tick(rate=0)).draw != "listed":
        await sale.drawing.go_on(reply)
    assert 0 < reply.unnumbered < 40
    await sale.client.hdel(sale.keys.room, "run_id")
    await sale.confirm()
    sale.drawing = Drawing(sale.sale_id, sale.room, sale.books, token="the-leader")
    await sale.draw()
    assert await numbers(sale, [*drawn_order(CROWD), "late"]) == list(range(1, 42))


async def test_a_restarted_lobby_waits_for_who_joined_in_the_seconds_that_were_lost(sale: OneDraw) -> None:
    await sale.client.hdel(sale.keys.room, "run_id")
    await sale.client.zrem(sale.keys.line, ticket_of(CROWD[0]))
    await sale.confirm()
    assert (await sale.open()).draw == "lobby"
    await sale.look(CROWD[0])
    await sale.settle()
    await sale.tick()
    await sale.draw()
    assert await numbers(sale, drawn_order(CROWD)) == list(range(1, 41))
