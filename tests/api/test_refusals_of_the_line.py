"""Every refusal of the line is a problem with its code, and changes nothing."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from gateway.bounded import PollLimiter
from tests.api.conftest import House, Person, problem

SOON = {
    "lobby_opens_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    "opens_at": (datetime.now(UTC) + timedelta(hours=2)).isoformat(),
    "closes_at": (datetime.now(UTC) + timedelta(hours=3)).isoformat(),
}


async def figures(house: House, sale: str) -> dict[str, Any]:
    operator = await house.operator("viewer")
    return dict((await operator.ask("GET", f"/operator/sales/{sale}/figures")).json()["line"])


async def act(house: House, sale: str, action: str, **params: Any) -> None:
    operator = await house.operator()
    answer = await operator.ask("POST", f"/operator/sales/{sale}/actions/{action}", json=params)
    assert answer.status_code == 200, answer.text


async def test_a_sale_that_is_not_listed_is_unknown_to_every_call(house: House) -> None:
    buyer = await house.buyer()
    draft = await house.sale(draft=True)
    calls = [("GET", "line"), ("PUT", "ticket"), ("GET", "ticket"), ("DELETE", "ticket")]
    calls += [("POST", "ticket/extend"), ("POST", "pass")]
    for sale in ("no-such-sale", draft, "%00", "a%2Fb"):
        for method, what in calls:
            answer = await buyer.ask(method, f"/sales/{sale}/{what}")
            assert answer.status_code == 404, (method, sale, what, answer.text)


async def test_joining_needs_a_session(house: House) -> None:
    sale = await house.sale()
    answer = await house.client.put(f"/api/v1/sales/{sale}/ticket")
    problem(answer, 401, "not_signed_in")
    assert answer.headers["www-authenticate"] == "Bearer"
    forged = await house.client.put(f"/api/v1/sales/{sale}/ticket", headers={"Authorization": "Bearer x.y.z"})
    problem(forged, 401, "not_signed_in")
    assert (await figures(house, sale))["waiting"] == 0


async def test_an_operator_does_not_stand_in_line(house: House) -> None:
    sale, operator = await house.sale(), await house.operator()
    problem(await operator.ask("PUT", f"/sales/{sale}/ticket"), 403, "forbidden")


async def test_an_unverified_session_joins_nothing_and_claims_nothing(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    await house.called(buyer, sale)
    unverified = with_claims(house, buyer, verified=False)
    problem(await unverified.ask("PUT", f"/sales/{sale}/ticket"), 403, "unverified")
    problem(await unverified.ask("POST", f"/sales/{sale}/pass"), 403, "unverified")
    assert (await buyer.ask("POST", f"/sales/{sale}/pass")).status_code == 200, "the turn stayed"


async def test_the_lobby_has_to_be_open(house: House) -> None:
    sale, buyer = await house.sale(**SOON), await house.buyer()
    problem(await buyer.ask("PUT", f"/sales/{sale}/ticket"), 409, "too_early")


@pytest.mark.parametrize("action", ["drain", "close", "cancel"])
async def test_a_line_that_takes_nobody_says_so(house: House, action: str) -> None:
    sale, buyer, second = await house.sale(), await house.buyer(), await house.buyer()
    assert (await buyer.ask("PUT", f"/sales/{sale}/ticket")).status_code == 201
    await act(house, sale, action)
    problem(await second.ask("PUT", f"/sales/{sale}/ticket"), 409, "line_closed")
    expected = "waiting" if action == "drain" else "closed"
    assert (await buyer.ask("GET", f"/sales/{sale}/ticket")).json()["state"] == expected


async def test_when_everything_is_sold_nobody_joins(house: House) -> None:
    sale = await house.sale(items=[{"product_id": house.products[0], "allotted": 0, "limit_per_buyer": 1}])
    buyer = await house.buyer()
    problem(await buyer.ask("PUT", f"/sales/{sale}/ticket"), 409, "sold_out")


async def test_who_has_no_ticket_is_told_so(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    for method, what in (("GET", "ticket"), ("POST", "ticket/extend"), ("POST", "pass")):
        problem(await buyer.ask(method, f"/sales/{sale}/{what}"), 404, "no_ticket")
    for token in (b"nonsense", b"v1.test.AAAA.BBBB", b"\xff\xfe", b"x" * 5000, b""):
        shown = [(b"waiting-room-ticket", token)]
        answer = await house.client.get(f"/api/v1/sales/{sale}/ticket", headers=shown)
        problem(answer, 404, "no_ticket")


async def test_a_ticket_of_another_sale_opens_nothing(house: House) -> None:
    first, second, buyer = await house.sale(), await house.sale(), await house.buyer()
    token = (await buyer.ask("PUT", f"/sales/{first}/ticket")).json()["ticket"]
    shown = {"Waiting-Room-Ticket": token}
    assert (await house.client.get(f"/api/v1/sales/{first}/ticket", headers=shown)).status_code == 200
    problem(await house.client.get(f"/api/v1/sales/{second}/ticket", headers=shown), 404, "no_ticket")


async def test_where_ticket_and_account_differ_the_account_wins(house: House) -> None:
    sale, one, other = await house.sale(), await house.buyer(), await house.buyer()
    mine = (await one.ask("PUT", f"/sales/{sale}/ticket")).json()
    theirs = (await other.ask("PUT", f"/sales/{sale}/ticket")).json()
    seen = await one.ask("GET", f"/sales/{sale}/ticket", headers={"Waiting-Room-Ticket": theirs["ticket"]})
    assert seen.json()["ticket_id"] == mine["ticket_id"]


async def test_a_claim_before_the_call_is_told_when_to_look_again(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    await buyer.ask("PUT", f"/sales/{sale}/ticket")
    answer = await buyer.ask("POST", f"/sales/{sale}/pass")
    problem(answer, 409, "not_called_yet")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_turn_is_extended_once(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    await buyer.ask("PUT", f"/sales/{sale}/ticket")
    problem(await buyer.ask("POST", f"/sales/{sale}/ticket/extend"), 409, "not_called")
    await house.tick(sale)
    before = (await buyer.ask("GET", f"/sales/{sale}/ticket")).json()["turn_expires_at"]
    extended = await buyer.ask("POST", f"/sales/{sale}/ticket/extend")
    assert extended.status_code == 200
    assert extended.json()["turn_expires_at"] > before
    problem(await buyer.ask("POST", f"/sales/{sale}/ticket/extend"), 409, "already_extended")


async def test_a_turn_that_is_over_cannot_be_claimed(house: House) -> None:
    sale, buyer = await house.sale(turn_window_s=120, comeback_s=0), await house.buyer()
    await house.called(buyer, sale)
    for _ in range(125):
        await house.tick(sale, dt_ms=1000)
    problem(await buyer.ask("POST", f"/sales/{sale}/pass"), 410, "turn_lapsed")


async def test_a_halted_sale_gives_no_pass_and_keeps_the_turn(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    await house.called(buyer, sale)
    await act(house, sale, "halt")
    problem(await buyer.ask("POST", f"/sales/{sale}/pass"), 503, "halted")
    await act(house, sale, "resume")
    assert (await buyer.ask("POST", f"/sales/{sale}/pass")).status_code == 200


async def test_leaving_is_done_twice_and_not_with_a_live_order(house: House) -> None:
    sale, buyer, other = await house.sale(), await house.buyer(), await house.buyer()
    await other.ask("PUT", f"/sales/{sale}/ticket")
    for _ in range(2):
        assert (await other.ask("DELETE", f"/sales/{sale}/ticket")).status_code == 204
    await house.order(buyer, sale)
    problem(await buyer.ask("DELETE", f"/sales/{sale}/ticket"), 409, "order_open")
    assert (await buyer.ask("GET", f"/sales/{sale}/ticket")).json()["state"] == "admitted"


async def test_one_ticket_is_not_asked_about_more_than_eight_times_in_ten_seconds(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    token = (await buyer.ask("PUT", f"/sales/{sale}/ticket")).json()["ticket"]
    path, shown = f"/api/v1/sales/{sale}/ticket", {"Waiting-Room-Ticket": token}
    answers = [await house.client.get(path, headers=shown) for _ in range(10)]
    assert [answer.status_code for answer in answers] == [200] * 8 + [429] * 2
    commands = (await house.services.redis.info("stats"))["total_commands_processed"]
    refused = await asyncio.gather(*(house.client.get(path, headers=shown) for _ in range(500)))
    after = (await house.services.redis.info("stats"))["total_commands_processed"]
    assert after - commands < 500, "what reached Redis does not grow with what is refused"
    for answer in refused:
        problem(answer, 429, "too_many_polls")


async def test_a_page_that_is_loaded_again_and_again_shows_the_place_and_no_problem(house: House) -> None:
    sale, called, first, second = await house.sale(calls_per_minute=60), *[await house.buyer() for _ in "123"]
    turn = (await house.called(called, sale))["ticket"]
    _, waits = [
        (await person.ask("PUT", f"/sales/{sale}/ticket")).json()["ticket"] for person in (first, second)
    ]
    await house.tell_crowd(sale)
    for ticket, state in ((waits, "waiting"), (turn, "called")):
        shown = {"Cookie": f"ticket_{house.sale_id(sale)}={ticket}"}
        pages = [house.client.get(f"/sales/{sale}/line", headers=shown) for _ in range(12)]
        for page in await asyncio.gather(*pages):
            assert page.status_code == 200
            assert f'data-state="{state}"' in page.text
        house.services.polls = PollLimiter(within_s=0.5)  # whose turn it is waits for the own


async def test_a_lost_store_refuses_instead_of_guessing(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    await buyer.ask("PUT", f"/sales/{sale}/ticket")
    await house.services.redis.flushall()
    for method, what in (("GET", "ticket"), ("PUT", "ticket"), ("POST", "pass")):
        problem(await buyer.ask(method, f"/sales/{sale}/{what}"), 503, "room_unavailable")


def with_claims(house: House, person: Person, **changes: Any) -> Person:
    """The same person with a session text of ours that says something else."""
    keys = house.services.settings.keyring.derive("session")
    claims = jwt.decode(person.token, options={"verify_signature": False}) | changes
    token = jwt.encode(claims, keys.by_id[keys.active], "HS256", headers={"kid": keys.active})
    return Person(person.client, person.email, person.account_id, token)


async def test_a_session_signed_by_somebody_else_is_no_session(house: House) -> None:
    buyer = await house.buyer()
    head, claims, _ = buyer.token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"test"}').decode().rstrip("=")
    stolen = jwt.encode(
        jwt.decode(buyer.token, options={"verify_signature": False}),
        b"k" * 32,
        "HS256",
        headers={"kid": "test"},
    )
    expired = with_claims(house, buyer, exp=1).token
    for token in (f"{none}.{claims}.", f"{head}.{claims}.", stolen, expired, "", "a.b", "é"):
        shown = [(b"authorization", b"Bearer " + token.encode())]
        answer = await house.client.get("/api/v1/cart", headers=shown)
        problem(answer, 401, "not_signed_in")
