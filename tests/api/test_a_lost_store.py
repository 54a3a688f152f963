"""Redis loses everything in the middle of a sale: what buyers get back through the gateway, with the books of the real shop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gateway.cookies import cookie_name
from tests.api.conftest import LEADER, House, Person, books_of, problem
from waiting_room.confirmation import Confirmation
from waiting_room.ticking import CallRow

HEADER = "Waiting-Room-Ticket"


async def lose_redis(house: House, sale: str, *, copied: bool = True) -> None:
    """Everything in Redis is gone, and a leader finds it so. `copied`: the call log had been copied before."""
    sale_id, services = house.sale_id(sale), house.services
    with ThreadPoolExecutor(2) as threads:
        books = books_of(house, threads)
        if copied:
            rows: list[CallRow] = await services.room.read_calls(sale_id, 1_000)
            await books.copy_calls(sale_id, rows)
            await books.note_copied(sale_id, (await services.room.lines([sale_id]))[sale_id].now_ms)
        await services.redis.flushall()
        assert await services.room.take_lease(sale_id, LEADER, 60_000)
        confirmation = Confirmation(sale_id, services.room, books, token=LEADER, lease_ms=60_000)
        assert await confirmation.confirm(1_000)
    await services.snapshot.renew()


async def place(person: Person, sale: str, method: str = "GET", ticket: str | None = None) -> dict[str, Any]:
    headers = {HEADER: ticket} if ticket else {}
    answer = await person.ask(method, f"/sales/{sale}/ticket", headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_ticket_brings_the_place_back_by_poll_by_join_and_by_itself_alone(house: House) -> None:
    sale = await house.sale()
    people = [await house.buyer() for _ in range(4)]
    before = [(await person.ask("PUT", f"/sales/{sale}/ticket")).json() for person in people]
    await lose_redis(house, sale)
    problem(await people[3].ask("GET", f"/sales/{sale}/ticket"), 404, "no_ticket")

    polled = await place(people[2], sale, ticket=before[2]["ticket"])
    joined = await place(people[1], sale, "PUT", before[1]["ticket"])
    alone = await house.client.get(f"/api/v1/sales/{sale}/ticket", headers={HEADER: before[0]["ticket"]})
    for old, new in zip(before, (alone.json(), joined, polled), strict=False):
        assert (new["state"], new["number"]) == ("waiting", old["number"])
        assert new["ticket"] != old["ticket"], "a fresh ticket of the present store"
        assert not {"position", "ahead", "waiting"} & {key for key, value in new.items() if value is not None}
        assert new["estimate"]["reason"]["code"] == "rebuilding"
    assert (await place(people[2], sale, ticket=polled["ticket"]))["ticket"] == polled["ticket"]

    foreign = await people[3].ask(
        "PUT", f"/sales/{sale}/ticket", headers={HEADER: before[2]["ticket"]}
    )  # somebody else's ticket: the account wins
    assert foreign.status_code == 201
    assert foreign.json()["number"] > before[3]["number"]
    assert (await place(people[3], sale, ticket=before[3]["ticket"]))["number"] == before[3]["number"]


async def test_a_browser_that_joins_again_shows_its_ticket_by_its_cookie(house: House) -> None:
    sale, person = await house.sale(), await house.buyer()
    before = (await person.ask("PUT", f"/sales/{sale}/ticket")).json()
    await lose_redis(house, sale)
    name = cookie_name(house.services.settings, f"ticket_{house.sale_id(sale)}")
    answer = await person.ask(
        "PUT", f"/sales/{sale}/ticket", headers={"Cookie": f"{name}={before['ticket']}"}
    )
    assert (answer.status_code, answer.json()["number"]) == (200, before["number"])


async def test_turns_passes_orders_and_purchases_come_back_from_the_books(house: House) -> None:
    sale = await house.sale()
    called, shopping, holding, other = [await house.buyer() for _ in range(4)]
    await house.called(called, sale)
    admission = await house.admitted(shopping, sale)
    order_id = await house.reserved(holding, sale)
    await house.reserved(other, sale)
    accepted = house.services.redis_sync.get(f"fc:{{{house.sale_id(sale)}}}:lane:accepted")
    await lose_redis(house, sale)

    states = [(await place(person, sale))["state"] for person in (called, shopping, holding)]
    assert states == ["called", "admitted", "admitted"]
    again = await shopping.ask("POST", f"/sales/{sale}/pass")
    assert again.json()["pass"] == admission, "the same bytes as before"
    assert (await called.ask("POST", f"/sales/{sale}/pass")).status_code == 200
    problem(await holding.ask("DELETE", f"/sales/{sale}/ticket"), 409, "order_open")
    reply = await house.tick(sale, calls=0)
    assert (reply.ordering, reply.shopping) == (2, 2)
    used = (await holding.ask("POST", f"/sales/{sale}/pass")).json()["pass"]
    problem(await house.order(shopping, sale, pass_=admission), 503, "lane_recovering")
    await house.lane_opens(sale)
    problem(await house.order(holding, sale, pass_=used, key="another"), 409, "pass_used")

    assert (await house.order(shopping, sale, pass_=admission)).status_code == 202
    await house.decide(sale)
    now = house.services.redis_sync.get(f"fc:{{{house.sale_id(sale)}}}:lane:accepted")
    assert int(str(now)) == int(str(accepted)) + 1, "acceptance goes on counting"
    assert (await holding.ask("POST", f"/orders/{order_id}/cancel")).status_code == 200
    assert (await house.tick(sale, calls=0)).ordering == 2, "an order that ends after the loss frees its slot"
    assert (await place(holding, sale))["state"] == "done"


async def test_a_line_whose_calls_were_not_copied_gives_nobody_two_places(house: House) -> None:
    sale, person = await house.sale(), await house.buyer()
    ticket = (await house.called(person, sale))["ticket"]
    await lose_redis(house, sale, copied=False)
    back = await place(person, sale, ticket=ticket)
    assert back["state"] == "waiting"
    again = (await person.ask("PUT", f"/sales/{sale}/ticket")).json()
    assert again["number"] == back["number"]
