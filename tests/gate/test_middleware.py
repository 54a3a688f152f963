"""The gate in the same process as a Python site, with the real room behind it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from firstcome.settings import Settings
from firstcome_gate import Gate, PublishedKeys, given_keys
from firstcome_gate.keys import JWKS_PATH
from firstcome_gate.nonce import hash_of
from gateway import gate
from tests.api.conftest import House, open_house
from waiting_room.passes import Pass, PassSigner, jwks

ROOM, SITE = "https://sale.example.com", "https://tickets.example.org"
SALE_ID = "0123456789abcdef"
TRICKS = (
    *("//static/a.css", "/static//a.css", "/static/../seats", "/static/%2e%2e/seats", "/static/..%2fseats"),
    *(
        "/static;/../seats",
        "/static/..;/seats",
        "/STATIC/a.css",
        "/static\\..\\seats",
        "/static",
        "/static/%2fseats",
    ),
    *("/health/", "/health;x", "/healthy", "/Health", "/%68ealth/../seats"),
)


@dataclass
class Site:
    """An ASGI site that notes what reaches it."""

    seen: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.seen.append(dict(scope))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"the site"})

    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.seen[-1]["headers"]}


async def ask(app: Any, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    way = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=way, base_url=SITE) as client:
        return await client.send(
            client.build_request(method, httpx.URL(SITE, raw_path=path.encode()), headers=told)
        )


class Ring:
    """A key ring of a room, and the passes that it signs."""

    def __init__(self, *kids: str) -> None:
        self.by_id = {kid: secrets.token_bytes(32) for kid in kids}

    def sign(self, kid: str, *, sale_id: str = SALE_ID, life_s: int = 600) -> str:
        now = int(time.time())
        admission = Pass(sale_id, "ticket", "ann", now - 1000, now + life_s, "ticket.1", kid)
        return PassSigner(kid, self.by_id).sign(admission)


async def test_only_a_good_pass_opens_and_everything_that_is_not_named_is_closed() -> None:
    ring, site = Ring("k1"), Site()
    app = Gate(
        site,
        room=ROOM,
        sale_id=SALE_ID,
        keys=given_keys(jwks(ring.by_id)),
        open_paths=("/health", "/static/"),
    )
    stranger = Ring("k1").sign("k1")
    bad = {
        "over": ring.sign("k1", life_s=-1),
        "other sale": ring.sign("k1", sale_id="fedcba9876543210"),
        "stranger": stranger,
        "changed": ring.sign("k1")[:-4] + "AAAA",
        "none": "",
    }
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PROPFIND"):
        for token in bad.values():
            for path in ("/seats", *TRICKS):
                shown = {"admission_pass": token} if token else {}
                assert (await ask(app, path, method, **shown)).status_code == 401, (method, path)
        assert site.seen == []
        assert (await ask(app, "/seats", method, admission_pass=ring.sign("k1"))).status_code == 200
        assert site.seen.pop()["firstcome"].account_id == "ann"
        for path in ("/health", "/static/a.css"):
            assert (await ask(app, path, method)).status_code == 200
            assert site.seen.pop()["firstcome"] is None


async def test_the_site_learns_who_it_is_from_the_gate_and_nothing_of_the_room() -> None:
    ring, site = Ring("k1"), Site()
    app = Gate(site, room=ROOM, sale_id=SALE_ID, keys=given_keys(jwks(ring.by_id)))
    token = ring.sign("k1")
    cookie = f"basket=1; __Host-pass_{SALE_ID}={token}; __Host-ticket_{SALE_ID}=t; __Host-session=s; session=theirs"
    claimed = {"X-Firstcome-Account": "mallory", "x_firstcome_sale": "mallory", "Waiting-Room-Ticket": "t"}
    answer = await ask(app, "/seats", cookie=cookie, **claimed)
    assert answer.status_code == 200
    told = site.headers()
    assert told["cookie"] == "basket=1; session=theirs"
    assert (told["x-firstcome-account"], told["x-firstcome-sale"]) == ("ann", SALE_ID)
    assert "mallory" not in str(told)
    assert "waiting-room-ticket" not in told
    bare = await ask(app, "/seats", cookie=f"pass_{SALE_ID}={token}")
    assert bare.status_code == 401, "without the prefix another host could have set it"


async def test_a_websocket_needs_a_pass_as_well() -> None:
    ring, site = Ring("k1"), Site()
    app = Gate(site, room=ROOM, sale_id=SALE_ID, keys=given_keys(jwks(ring.by_id)))
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/live", "raw_path": b"/live", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert site.seen == []
    scope["headers"] = [(b"admission-pass", ring.sign("k1").encode())]
    await app(scope, receive, send)
    assert site.seen.pop()["firstcome"].account_id == "ann"


class KeyServer:
    """A room of which only the keys are asked; `ring` may change, `down` makes it silent."""

    def __init__(self, ring: Ring) -> None:
        self.ring, self.down, self.asked = ring, False, 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.down:
            raise httpx.ConnectError("down", request=request)
        assert request.url.path == JWKS_PATH
        return httpx.Response(200, json=jwks(self.ring.by_id))

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))


async def test_keys_are_fetched_once_rotate_without_a_gap_and_outlive_the_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring, site = Ring("k1"), Site()
    room = KeyServer(ring)
    async with room.client() as client:
        keys = PublishedKeys(ROOM + JWKS_PATH, client)
        app = Gate(site, room=ROOM, sale_id=SALE_ID, keys=keys, client=client)
        old = ring.sign("k1")
        answers = await asyncio.gather(*(ask(app, "/seats", admission_pass=old) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert room.asked == 1

        ring.by_id["k2"] = secrets.token_bytes(32)
        new = ring.sign("k2")
        assert (await ask(app, "/seats", admission_pass=new)).status_code == 401, "it has looked a moment ago"
        monkeypatch.setattr("firstcome_gate.keys.LOOK_AGAIN_AFTER_S", 0.0)
        assert (await ask(app, "/seats", admission_pass=new)).status_code == 200
        assert (await ask(app, "/seats", admission_pass=old)).status_code == 200

        room.down = True
        for token, status in ((old, 200), (new, 200), (Ring("k3").sign("k3"), 401)):
            assert (await ask(app, "/seats", admission_pass=token)).status_code == status


async def test_unknown_keys_do_not_make_it_ask_the_room_all_the_time() -> None:
    room, site = KeyServer(Ring("k1")), Site()
    async with room.client() as client:
        app = Gate(site, room=ROOM, sale_id=SALE_ID, client=client)
        stranger = Ring("k9")
        for _ in range(30):
            assert (await ask(app, "/seats", admission_pass=stranger.sign("k9"))).status_code == 401
        assert room.asked == 1


async def test_before_the_keys_were_ever_seen_the_gate_says_so() -> None:
    room, site = KeyServer(Ring("k1")), Site()
    room.down = True
    async with room.client() as client:
        app = Gate(site, room=ROOM, sale_id=SALE_ID, client=client, open_paths=("/health",))
        answer = await ask(app, "/seats", admission_pass=room.ring.sign("k1"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert (await ask(app, "/health", admission_pass=room.ring.sign("k1"))).status_code == 200
        led = await ask(app, "/seats", accept="text/html")
        assert led.status_code == 503, "nobody is led to a room that is away"


@pytest.fixture
async def house_of_sites(settings: Settings) -> AsyncIterator[House]:
    """A room that leads to another host."""
    async with open_house(settings.model_copy(update={"base_url": ROOM, "gate_sites": (SITE,)})) as house:
        yield house


async def test_from_another_host_to_the_room_and_back_with_a_code(house_of_sites: House) -> None:
    house, site = house_of_sites, Site()
    sale = await house.sale()
    sale_id = house.sale_id(sale)
    app = Gate(site, room=ROOM, sale_id=sale_id, site=SITE, client=house.client)

    led = await ask(app, "/seats?row=7", accept="text/html")
    assert led.status_code == 303
    begin, _, sealed = led.headers["location"].partition("?return=")
    assert begin == f"{ROOM}/sales/{sale}/line"
    nonce = kept(led, "gate_nonce")
    second = await ask(app, "/seats?row=8", accept="text/html", cookie=nonce)
    assert kept(second, "gate_nonce") == nonce, "a second tab does not void the way back of the first"
    stranger = kept(await ask(app, "/seats", accept="text/html"), "gate_nonce")
    assert stranger != nonce
    assert await refused(app, "/seats"), "a program is told, not led"

    token = await house.admitted(await house.buyer(), sale)
    admission = gate.read_pass(house.services, sale_id, token)
    assert admission is not None
    code = await gate.code_for(house.services, admission, sealed)
    arrived = await ask(app, f"/gate/enter?code={code}", cookie=nonce)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/seats?row=7")
    held = kept(arrived, f"pass_{sale_id}")
    assert held.endswith(f"={token}")
    assert (await ask(app, "/seats?row=7", cookie=f"{nonce}; {held}")).text == "the site"
    assert "cookie" not in site.headers()

    opens_nothing(await ask(app, f"/gate/enter?code={code}", cookie=nonce))
    opens_nothing(await ask(app, f"/gate/enter?code={code}&code={code}", cookie=nonce))
    for shown in ("", stranger, nonce.removeprefix("__Host-"), f"{nonce}x"):
        code = await gate.code_for(house.services, admission, sealed)
        opens_nothing(await ask(app, f"/gate/enter?code={code}", cookie=shown))
        opens_nothing(await ask(app, f"/gate/enter?code={code}", cookie=nonce))


async def test_a_code_of_another_sale_opens_nothing(house_of_sites: House) -> None:
    house, site = house_of_sites, Site()
    sale, other = await house.sale(), await house.sale()
    app = Gate(site, room=ROOM, sale_id=house.sale_id(sale), site=SITE, client=house.client)
    admission = gate.read_pass(
        house.services, house.sale_id(other), await house.admitted(await house.buyer(), other)
    )
    assert admission is not None
    cookie = kept(await ask(app, "/seats", accept="text/html"), "gate_nonce")
    bound_to = hash_of(cookie.partition("=")[2])
    sealed = gate.seal_way_back(house.services, house.sale_id(other), SITE, "/seats", bound_to)
    code = await gate.code_for(house.services, admission, sealed)
    opens_nothing(await ask(app, f"/gate/enter?code={code}", cookie=cookie))


def kept(answer: httpx.Response, name: str) -> str:
    """The one cookie that the answer lets the browser keep, as it will show it."""
    (told,) = answer.headers.get_list("set-cookie")
    pair, *attributes = told.split("; ")
    assert pair.startswith(f"__Host-{name}="), told
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= set(attributes)
    return str(pair)


def opens_nothing(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers


async def refused(app: Any, path: str) -> bool:
    answer = await ask(app, path, accept="application/json")
    return answer.status_code == 401 and answer.json()["code"] == "no_pass"
