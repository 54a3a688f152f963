"""The gate's own answers: who may pass, where everybody else is led, and the one-time code for another host."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from firstcome.servers import EmbeddedRedis, PrivateRedis
from firstcome.settings import Settings
from firstcome_gate.nonce import hash_of
from gateway import gate
from tests.api.conftest import House, open_house, problem
from waiting_room.codes import Handover

SITE, OTHER = "https://tickets.example.org", "https://seats.example.net"
PAGE = {"Accept": "text/html,*/*", "X-Forwarded-Method": "GET"}


@pytest.fixture
async def gated(settings: Settings) -> AsyncIterator[House]:
    """A house whose gate leads to two other hosts."""
    async with open_house(settings.model_copy(update={"gate_sites": (SITE, OTHER)})) as house:
        yield house


async def knock(house: House, sale: str, method: str = "GET", **headers: str) -> httpx.Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return await house.client.request(method, f"/gate/verify?sale={sale}", headers=told)


def sealed_in(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.headers["location"]).query)["return"][0]


async def test_a_good_pass_is_told_by_name_for_every_method_alike(gated: House) -> None:
    sale, buyer = await gated.sale(), await gated.buyer()
    admission = await gated.admitted(buyer, sale)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        shown = await knock(gated, sale, method, admission_pass=admission)
        kept = await knock(
            gated,
            sale,
            method,
            cookie=f"a=1; pass_{gated.sale_id(sale)}={admission}",
            origin="https://evil.example",
        )
        for answer in (shown, kept):
            assert (answer.status_code, answer.content) == (204, b""), method
            assert answer.headers["x-firstcome-account"] == buyer.account_id
            assert answer.headers["x-firstcome-sale"] == gated.sale_id(sale)
            assert answer.headers["cache-control"] == "no-store"
        assert kept.headers["cookie"] == "a=1"
        assert shown.headers["cookie"] == ""
        refused = await knock(gated, sale, method, admission_pass=admission + "x")
        assert refused.status_code == 401, method


async def test_a_pass_opens_its_own_sale_alone(gated: House) -> None:
    sale, other = await gated.sale(), await gated.sale()
    admission = await gated.admitted(await gated.buyer(), sale)
    told = problem(await knock(gated, other, admission_pass=admission), 401, "no_pass")
    assert told["instance"] == "/gate/verify"
    by_id = f"/gate/verify?sale_id={gated.sale_id(sale)}"
    assert (await gated.client.get(by_id, headers={"Admission-Pass": admission})).status_code == 204


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "bad_fields"),
        ("sale={sale}&sale=other", 422, "bad_fields"),
        ("sale={sale}&sale_id=0123", 422, "bad_fields"),
        ("sale={sale}&return=/x", 422, "bad_fields"),
        ("sale={sale}&answer=200", 422, "bad_fields"),
        ("sale={sale}&site=", 422, "bad_fields"),
        ("sale={sale}&site=https://evil.example", 403, "unknown_site"),
        ("sale={sale}&site=https://tickets.example.org.evil.example", 403, "unknown_site"),
        ("sale=nothing-of-the-kind", 404, "unknown_sale"),
    ],
)
async def test_a_question_that_is_not_clear_opens_nothing(
    gated: House, query: str, status: int, code: str
) -> None:
    sale = await gated.sale()
    admission = await gated.admitted(await gated.buyer(), sale)
    answer = await gated.client.get(
        f"/gate/verify?{query.format(sale=sale)}", headers={"Admission-Pass": admission}
    )
    problem(answer, status, code)


async def test_browsers_are_led_to_the_line_programs_are_told_and_nginx_gets_the_address(
    gated: House,
) -> None:
    sale = await gated.sale()
    led = await knock(gated, sale, **PAGE, x_forwarded_uri="/seats?row=7")
    assert led.headers["location"].startswith(f"{gated.services.settings.base_url}/sales/{sale}/line?return=")
    told = await gated.client.get(f"/gate/verify?sale={sale}&answer=401&site={SITE}", headers=PAGE)
    problem(told, 401, "no_pass")
    assert told.headers["www-authenticate"] == "Admission-Pass"
    assert told.headers["x-firstcome-room"].startswith(
        f"{gated.services.settings.base_url}/sales/{sale}/line?return="
    )
    program = await knock(gated, sale, accept="application/json")
    problem(program, 401, "no_pass")
    assert "x-firstcome-room" not in program.headers


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("/seats?row=7&next=//evil.example", "/seats?row=7&next=//evil.example"),
        *(
            (odd, "/")
            for odd in ("//evil.example", "/\\evil.example", "http://evil.example/", "evil", "", "/a b", "/ü")
        ),
    ],
)
async def test_the_way_back_leads_to_a_path_of_the_site_and_nowhere_else(
    gated: House, target: str, leads_to: str
) -> None:
    sale = await gated.sale()
    answer = await gated.client.get(
        f"/gate/verify?sale={sale}&site={SITE}",
        headers=[(k.encode(), v.encode()) for k, v in (PAGE | {"X-Forwarded-Uri": target}).items()],
    )
    way = gate.open_way_back(gated.services, gated.sale_id(sale), sealed_in(answer))
    assert way is not None
    assert (way.site, way.path) == (SITE, leads_to)
    posted = {**PAGE, "X-Forwarded-Method": "POST", "X-Forwarded-Uri": "/pay"}
    back = sealed_in(await gated.client.get(f"/gate/verify?sale={sale}", headers=posted))
    way = gate.open_way_back(gated.services, gated.sale_id(sale), back)
    assert way is not None
    assert way.path == "/", "what was sent cannot be sent again"


async def test_a_way_back_that_is_changed_over_or_of_another_sale_is_none(
    gated: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale, other = await gated.sale(), await gated.sale()
    sealed = sealed_in(await knock(gated, sale, **PAGE))
    raw = bytearray(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
    raw[-1] ^= 1
    changed = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    monkeypatch.setattr(gate, "RETURN_S", -1)
    over = gate.seal_way_back(gated.services, gated.sale_id(sale), SITE, "/")
    for where, bad in (
        (sale, changed),
        (sale, over),
        (other, sealed),
        (sale, "https://evil.example"),
        (sale, ""),
    ):
        answer = await gated.client.get(f"/sales/{where}/line?return={bad}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sales/{where}/line")
        assert "set-cookie" not in answer.headers
    nowhere = gate.seal_way_back(gated.services, gated.sale_id(sale), "https://no-longer.example", "/")
    assert gate.open_way_back(gated.services, gated.sale_id(sale), nowhere) is None
    good = await gated.client.get(f"/sales/{sale}/line?return={sealed}")
    assert f"return_{gated.sale_id(sale)}={sealed}" in good.headers["set-cookie"]


NONCE = "n" * 43


async def code_for(house: House, sale: str, site: str, path: str = "/seats", bound_to: str = NONCE) -> str:
    admission = await house.admitted(await house.buyer(), sale)
    known = gate.read_pass(house.services, house.sale_id(sale), admission)
    assert known is not None
    way = gate.seal_way_back(house.services, house.sale_id(sale), site, path, hash_of(bound_to))
    return await gate.code_for(house.services, known, way)


async def exchange(house: House, code: str, site: str, nonce: str = NONCE) -> httpx.Response:
    return await house.client.post("/gate/exchange", json={"code": code, "site": site, "nonce": nonce})


async def test_of_many_who_present_a_code_at_once_one_gets_the_pass(gated: House) -> None:
    sale = await gated.sale()
    code = await code_for(gated, sale, SITE)
    answers = await asyncio.gather(*(exchange(gated, code, SITE) for _ in range(20)))
    (won,) = [answer for answer in answers if answer.status_code == 200]
    for lost in answers:
        assert lost is won or problem(lost, 403, "code_spent")
    body = won.json()
    assert (body["to"], body["sale_id"]) == ("/seats", gated.sale_id(sale))
    assert gate.read_pass(gated.services, gated.sale_id(sale), body["pass"]) is not None


async def test_a_code_at_the_wrong_host_is_spent_and_after_a_minute_over(gated: House) -> None:
    sale = await gated.sale()
    code = await code_for(gated, sale, SITE)
    problem(await exchange(gated, code, OTHER), 403, "code_spent")
    problem(await exchange(gated, code, SITE), 403, "code_spent")
    problem(
        await exchange(gated, await code_for(gated, sale, SITE), "https://evil.example"), 403, "unknown_site"
    )
    for none in ("", "x", f"{gated.sale_id(sale)}.{'a' * 43}", "é.*" + "b" * 43):
        problem(await exchange(gated, none, SITE), 403, "code_spent")

    code, redis = await code_for(gated, sale, SITE), gated.services.redis
    left = {key: await redis.pttl(key) async for key in redis.scan_iter("*:code:*")}
    assert len(left) == 2, "the one that nobody took, and the last"
    assert all(0 < life_ms <= 60_000 for life_ms in left.values())
    assert all(code not in key for key in left), "a code cannot be read out of the store"
    for key in left:
        assert "eyJ" not in await redis.get(key), "nor a pass"
        await redis.pexpire(key, 0)
    problem(await exchange(gated, code, SITE), 403, "code_spent")


async def test_a_browser_at_another_host_enters_by_its_own_host_name_alone(gated: House) -> None:
    sale = await gated.sale()
    for host, opens in (("tickets.example.org", True), ("seats.example.net", False)):
        code = await code_for(gated, sale, SITE, "/seats?row=7")
        shown = {"Host": host, "Cookie": f"gate_nonce={NONCE}"}
        answer = await gated.client.get(f"/gate/enter?code={code}", headers=shown)
        assert answer.status_code == 303
        assert answer.headers["location"] == ("/seats?row=7" if opens else "/")
        assert ("set-cookie" in answer.headers) is opens
        assert ("pass_" in answer.headers.get("set-cookie", "")) is opens
    nobody = await gated.client.get(f"/gate/enter?code={code}", headers={"Host": "evil.example"})
    assert nobody.status_code == 403


async def test_a_code_is_good_in_the_browser_that_was_turned_away_and_spent_in_every_other(
    gated: House,
) -> None:
    """Nobody can be led to a place that is not theirs, nor can a way back that somebody planted bring their pass to another."""
    sale = await gated.sale()
    question = f"/gate/verify?sale={sale}&site={SITE}"
    led = await gated.client.get(question, headers=PAGE)
    (cookie,) = led.headers.get_list("set-cookie")
    pair, *attributes = cookie.split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={gate.RETURN_S}"} == set(attributes)
    nonce = pair.removeprefix("gate_nonce=")
    assert nonce not in led.headers["location"]
    way = gate.open_way_back(gated.services, gated.sale_id(sale), sealed_in(led))
    assert way is not None
    assert way.nonce_hash == hash_of(nonce)

    again = await gated.client.get(question, headers=PAGE | {"Cookie": f"a=1; {pair}"})
    assert again.headers["set-cookie"] == cookie, "a second tab does not void the way back of the first"
    for odd in ("short", nonce + "x", nonce[:-1] + "."):
        fresh = await gated.client.get(question, headers=PAGE | {"Cookie": f"gate_nonce={odd}"})
        assert odd not in fresh.headers["set-cookie"].partition(";")[0].split("=")

    for wrong in ("", "x", NONCE):
        code = await code_for(gated, sale, SITE, bound_to=nonce)
        problem(await exchange(gated, code, SITE, wrong), 403, "code_spent")
        problem(await exchange(gated, code, SITE, nonce), 403, "code_spent")
    for unbound in ("", hash_of("")):
        admission = await gated.admitted(await gated.buyer(), sale)
        known = gate.read_pass(gated.services, gated.sale_id(sale), admission)
        assert known is not None
        sealed = gate.seal_way_back(gated.services, gated.sale_id(sale), SITE, "/", unbound)
        for shown in ("", nonce):
            code = await gate.code_for(gated.services, known, sealed)
            problem(await exchange(gated, code, SITE, shown), 403, "code_spent")


async def test_a_site_may_keep_the_nonce_itself_and_the_rooms_own_host_needs_none(gated: House) -> None:
    sale = await gated.sale()
    question = f"/gate/verify?sale={sale}&site={SITE}&nonce_hash="
    led = await gated.client.get(question + hash_of(NONCE), headers=PAGE)
    assert "set-cookie" not in led.headers
    way = gate.open_way_back(gated.services, gated.sale_id(sale), sealed_in(led))
    assert way is not None
    assert way.nonce_hash == hash_of(NONCE)
    for odd in ("x", hash_of(NONCE).upper(), ""):
        problem(await gated.client.get(question + odd, headers=PAGE), 422, "bad_fields")
    for quiet in (await knock(gated, sale, **PAGE), await knock(gated, sale, accept="application/json")):
        assert "set-cookie" not in quiet.headers


async def test_passes_open_the_gate_while_redis_and_the_database_are_away(
    settings: Settings, servers_dir: Path
) -> None:
    server = (PrivateRedis if PrivateRedis.find() else EmbeddedRedis)(servers_dir / "mortal-gate").start()
    changed = settings.model_copy(
        update={"redis_url": server.url, "rq_redis_url": server.url, "gate_sites": (SITE,)}
    )
    async with open_house(changed) as house:
        sale = await house.sale()
        sale_id, code = house.sale_id(sale), await code_for(house, sale, SITE)
        admission = await house.admitted(await house.buyer(), sale)
        server.kill()
        house.services.snapshot._shelf_at -= 10_000
        problem(await house.client.get(f"/api/v1/sales/{sale}"), 503, "unavailable")
        shown = {"Admission-Pass": admission}
        assert (await house.client.get(f"/gate/verify?sale={sale}", headers=shown)).status_code == 204
        assert (await knock(house, sale, **PAGE)).status_code == 303
        problem(await exchange(house, code, SITE), 503, "room_unavailable")
        # A process that was started while the database was away knows no sale by its name, but every pass.
        house.services.snapshot._shelf = None
        assert (await house.client.get(f"/gate/verify?sale_id={sale_id}", headers=shown)).status_code == 204
        problem(await house.client.get(f"/gate/verify?sale={sale}", headers=shown), 503, "unavailable")
    server.stop()


async def test_a_code_stands_for_what_it_was_made_for(gated: House) -> None:
    sale = await gated.sale()
    admission = await gated.admitted(await gated.buyer(), sale)
    known = gate.read_pass(gated.services, gated.sale_id(sale), admission)
    assert known is not None
    code = await gated.services.codes.issue(Handover(known, "somewhere"))
    assert await gated.services.codes.redeem(code) == Handover(known, "somewhere")
    assert await gated.services.codes.redeem(code) is None
