"""Who may take a place: limits by network, the challenge, and that no refusal costs a number or a proof."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import altcha
import httpx
import pytest

from firstcome.settings import Settings
from gateway.line import ticket_id_of
from tests.api.conftest import House, Person, open_house, problem
from waiting_room.challenge import PAUSE_MS, Challenges, Work

ONE_NETWORK = ("9.9.9.1", "9.9.9.2", "9.9.9.250")


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """A gateway behind a proxy that is trusted, which lets two of a network in freely and sets easy challenges."""
    crowded = settings.model_copy(update={"trusted_proxies": ("127.0.0.1/32",), "free_joins_per_network": 2})
    async with open_house(crowded) as here:
        keys = crowded.keyring.derive("challenge")
        here.services.challenges = Challenges(keys.active, keys.by_id, Work(cost=1, least=1, most=5))
        yield here


async def join(person: Person, sale: str, address: str = "", proof: str = "") -> httpx.Response:
    headers = {"X-Forwarded-For": address} if address else {}
    return await person.ask(
        "PUT", f"/sales/{sale}/ticket", headers=headers | ({"Join-Challenge": proof} if proof else {})
    )


async def number(person: Person, sale: str, address: str = "", proof: str = "") -> int:
    """The number of a new place."""
    answer = await join(person, sale, address, proof)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["number"])


async def solve(house: House, sale: str) -> str:
    """What a program does: fetch a challenge and solve it by ALTCHA's own library."""
    answer = await house.client.get(f"/api/v1/sales/{sale}/challenge")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    challenge = altcha.Challenge.from_dict(answer.json())
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return altcha.Payload(challenge, solution).to_base64()


async def test_a_crowded_network_is_asked_for_a_challenge_and_never_turned_away(house: House) -> None:
    sale = await house.sale()
    people = [await house.buyer() for _ in range(5)]
    assert [await number(people[n], sale, ONE_NETWORK[n]) for n in range(2)] == [1, 2]
    problem(await join(people[2], sale, ONE_NETWORK[2]), 403, "challenge_required")
    assert await number(people[3], sale, "9.9.8.1") == 3, "another network, and no number was spent"
    assert await number(people[2], sale, ONE_NETWORK[2], await solve(house, sale)) == 4
    assert await number(people[4], sale) == 5, "an address that is not public is not counted"


async def test_who_holds_a_place_needs_no_proof(house: House) -> None:
    sale = await house.sale(challenge=True)
    buyer = await house.buyer()
    assert await number(buyer, sale, proof=await solve(house, sale)) == 1
    again = await join(buyer, sale)
    assert (again.status_code, again.json()["number"]) == (200, 1)
    await house.tick(sale)
    assert (await join(buyer, sale)).json()["state"] == "called"


async def test_a_forwarded_address_is_believed_from_trusted_proxies_only(settings: Settings) -> None:
    limited = settings.model_copy(update={"free_joins_per_network": 0})
    async with open_house(limited) as house:
        sale = await house.sale()
        assert await number(await house.buyer(), sale, "9.9.9.9") == 1, "the peer itself is no public address"


async def test_a_challenge_is_good_for_one_place_whoever_tries_at_once(house: House) -> None:
    sale = await house.sale(challenge=True)
    people = [await house.buyer() for _ in range(8)]
    proof = await solve(house, sale)
    answers = await asyncio.gather(*(join(person, sale, proof=proof) for person in people))
    assert sorted(answer.status_code for answer in answers) == [201] + [403] * 7
    assert {answer.json()["number"] for answer in answers if answer.status_code == 201} == {1}
    assert await number(await house.buyer(), sale, proof=await solve(house, sale)) == 2


async def test_a_join_that_is_refused_for_another_reason_spends_no_proof(house: House) -> None:
    sale = await house.sale(challenge=True)
    operator = await house.operator()
    buyer, proof = await house.buyer(), await solve(house, sale)

    async def act(action: str) -> None:
        answer = await operator.ask("POST", f"/operator/sales/{sale}/actions/{action}", json={})
        assert answer.status_code == 200, answer.text

    await act("drain")
    problem(await join(buyer, sale, proof=proof), 409, "line_closed")
    await act("resume")
    assert await number(buyer, sale, proof=proof) == 1


@pytest.mark.parametrize("kind", ["nothing", "noise", "another sale's", "not solved", "too long"])
async def test_what_is_no_proof_is_as_none_and_costs_no_number(house: House, kind: str) -> None:
    sale, other = await house.sale(challenge=True), await house.sale(challenge=True)
    asked: dict[str, Any] = (await house.client.get(f"/api/v1/sales/{sale}/challenge")).json()
    unsolved = {"challenge": asked, "solution": {"counter": 0, "derivedKey": "00" * 32}}
    proof = {
        "nothing": "",
        "noise": "!" * 40,
        "another sale's": await solve(house, other),
        "not solved": base64.b64encode(json.dumps(unsolved).encode()).decode(),
        "too long": "A" * 5_000,
    }[kind]
    buyer = await house.buyer()
    problem(await join(buyer, sale, proof=proof), 403, "challenge_required")
    problem(await buyer.ask("GET", f"/sales/{sale}/ticket"), 404, "no_ticket")
    assert await number(buyer, sale, proof=await solve(house, sale)) == 1


async def test_the_challenge_can_be_switched_on_and_off_while_the_sale_runs(house: House) -> None:
    sale, operator = await house.sale(), await house.operator()
    path = f"/operator/sales/{sale}"
    assert await number(await house.buyer(), sale) == 1
    for wanted in (True, False):
        tag = (await operator.ask("GET", path)).headers["etag"]
        body = {"challenge": wanted}
        changed = await operator.ask("PATCH", path, json=body, headers={"If-Match": tag})
        assert changed.json()["challenge"] is wanted
        assert (await house.client.get(f"/api/v1/sales/{sale}")).json()["challenge"] is wanted
        answer = await join(await house.buyer(), sale)
        assert answer.status_code == (403 if wanted else 201)


async def test_the_challenge_is_asked_for_in_the_lobby_as_well(house: House) -> None:
    opens = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    sale, buyer = await house.sale(challenge=True, opens_at=opens), await house.buyer()
    problem(await join(buyer, sale), 403, "challenge_required")
    assert await number(buyer, sale, proof=await solve(house, sale)) == 1


async def test_one_buyer_who_joins_again_and_again_is_slowed_down_before_redis(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    answers = [await join(buyer, sale) for _ in range(9)]
    assert [answer.status_code for answer in answers[:8]] == [201] + [200] * 7
    problem(answers[8], 429, "too_many_joins")
    assert await number(await house.buyer(), sale) == 2


async def test_no_address_reaches_redis(house: House) -> None:
    sale = await house.sale()
    await number(await house.buyer(), sale, "9.9.9.9")
    names = [name async for name in house.services.redis.scan_iter("*:joins:*")]
    assert len(names) == 1
    assert 0 < await house.services.redis.ttl(names[0]) <= 120
    tags = await house.services.redis.hgetall(names[0])
    assert list(tags.values()) == ["1"]
    assert all(len(tag) == 12 and "9.9" not in tag for tag in tags)


async def test_by_waiting_one_of_a_network_comes_in_at_a_time(house: House) -> None:
    sale = await house.sale(challenge=True)
    sale_id = house.sale_id(sale)
    first, second, late = [await house.buyer() for _ in range(3)]

    def pause(person: Person, since_ms: int) -> str:
        ticket_id = ticket_id_of(house.services, house.services.snapshot.sale(sale), person.account_id)
        return house.services.challenges.pause(sale_id, ticket_id, time.time_ns() // 1_000_000 - since_ms)

    ready = {person.email: pause(person, PAUSE_MS) for person in (first, second)}
    problem(await join(late, sale, ONE_NETWORK[0], pause(late, PAUSE_MS - 5_000)), 403, "challenge_required")
    problem(await join(second, sale, ONE_NETWORK[1], ready[first.email]), 403, "challenge_required")
    assert await number(first, sale, ONE_NETWORK[0], ready[first.email]) == 1
    refused = await join(second, sale, ONE_NETWORK[1], ready[second.email])
    problem(refused, 403, "challenge_required")
    assert int(refused.headers["retry-after"]) == PAUSE_MS // 1000
    assert await number(second, sale, "9.9.8.1", ready[second.email]) == 2, "the pause itself is still good"
