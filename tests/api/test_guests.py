"""Waiting without an account: the ticket is all there is to show, the claim needs an account, and the place goes with it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.api.conftest import House, problem
from tests.api.test_refusals_of_the_line import with_claims


async def wait(house: House, sale: str, ticket: str = "", **headers: str) -> dict[str, Any]:
    """A guest's join; `ticket` is the one it holds already."""
    shown = {"Waiting-Room-Ticket": ticket} if ticket else {}
    answer = await house.client.put(f"/api/v1/sales/{sale}/ticket", headers=shown | headers)
    assert answer.status_code == (200 if ticket else 201), answer.text
    assert "set-cookie" not in answer.headers
    body: dict[str, Any] = answer.json()
    return body


async def test_a_program_waits_by_its_ticket_alone(house: House) -> None:
    sale = await house.sale(guests=True)
    mine = await wait(house, sale)
    await wait(house, sale)
    again = await wait(house, sale, mine["ticket"])
    assert (again["number"], again["ticket_id"]) == (1, mine["ticket_id"])
    shown = {"Waiting-Room-Ticket": mine["ticket"]}
    path = f"/api/v1/sales/{sale}/ticket"
    assert (await house.client.get(path, headers=shown)).json()["number"] == 1
    await house.tick(sale)
    assert (await house.client.post(f"{path}/extend", headers=shown)).json()["extended"] is True
    assert (await house.client.delete(path, headers=shown)).status_code == 204
    assert (await house.client.get(path, headers=shown)).json()["state"] == "left"


async def test_only_accounts_wait_where_the_sale_says_so(house: House) -> None:
    sale = await house.sale()
    problem(await house.client.put(f"/api/v1/sales/{sale}/ticket"), 401, "not_signed_in")
    assert (await house.client.get(f"/api/v1/sales/{sale}")).json()["guests"] is False


async def test_the_claim_needs_an_account_and_the_turn_goes_with_it(house: House) -> None:
    sale, buyer = await house.sale(guests=True), await house.buyer()
    mine = await wait(house, sale)
    await house.tick(sale)
    shown = {"Waiting-Room-Ticket": mine["ticket"]}
    problem(await house.client.post(f"/api/v1/sales/{sale}/pass", headers=shown), 401, "not_signed_in")
    still = await house.client.get(f"/api/v1/sales/{sale}/ticket", headers=shown)
    assert still.json()["state"] == "called", "the turn stays"
    claims = [buyer.ask("POST", f"/sales/{sale}/pass", headers=shown) for _ in range(8)]
    passes = {answer.json().get("pass") for answer in await asyncio.gather(*claims)}
    assert len(passes) == 1, "one place, one pass, whoever asks at once"
    ordered = await house.order(buyer, sale, pass_=str(passes.pop()))
    assert ordered.status_code == 202
    place = (await buyer.ask("GET", f"/sales/{sale}/ticket")).json()
    assert (place["state"], place["number"]) == ("admitted", 1)
    assert place["ticket_id"] != mine["ticket_id"]


async def test_an_unverified_account_waits_as_a_guest_and_claims_nothing(house: House) -> None:
    sale = await house.sale(guests=True)
    buyer = with_claims(house, await house.buyer(), verified=False)
    mine = await wait(house, sale)
    await house.tick(sale)
    shown = {"Waiting-Room-Ticket": mine["ticket"]}
    problem(await buyer.ask("POST", f"/sales/{sale}/pass", headers=shown), 403, "unverified")
    seen = (await buyer.ask("GET", f"/sales/{sale}/ticket", headers=shown)).json()
    assert (seen["state"], seen["ticket_id"]) == ("called", mine["ticket_id"])


async def test_signing_in_while_waiting_brings_the_place_along_and_a_stranger_gets_nothing(
    house: House,
) -> None:
    sale, buyer, stranger = await house.sale(guests=True), await house.buyer(), await house.buyer()
    mine = await wait(house, sale)
    shown = {"Waiting-Room-Ticket": mine["ticket"]}
    moved = (await buyer.ask("GET", f"/sales/{sale}/ticket", headers=shown)).json()
    assert (moved["number"], moved["state"]) == (1, "waiting")
    problem(await stranger.ask("GET", f"/sales/{sale}/ticket", headers=shown), 404, "no_ticket")
    theirs = {"Waiting-Room-Ticket": moved["ticket"]}
    problem(await stranger.ask("GET", f"/sales/{sale}/ticket", headers=theirs), 404, "no_ticket")
    assert (await buyer.ask("GET", f"/sales/{sale}/ticket")).json()["number"] == 1


async def test_a_browser_holds_one_place_by_its_cookie_however_often_it_asks(house: House) -> None:
    sale = await house.sale(guests=True)
    cookies = {"Cookie": "device=a-random-id-of-22-chars"}
    path = f"/api/v1/sales/{sale}/ticket"
    answers = await asyncio.gather(*(house.client.put(path, headers=cookies) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert {answer.json()["number"] for answer in answers} == {1}
    assert all("HttpOnly" in answer.headers["set-cookie"] for answer in answers)
    house.client.cookies.clear()
