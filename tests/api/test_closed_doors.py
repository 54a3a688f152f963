"""Doors that a stranger tries: odd headers, odd forms, sessions that have ended. Every one is answered by a refusal, none by a fault."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.security import Layer
from shop.accounts.sessions import operator_sign_in, sign_in, sign_out
from tests.api.conftest import PASSWORD, House, Person, problem

FORM = "application/x-www-form-urlencoded"


class Browser:
    """Somebody who is logged in by a cookie, and fills in forms."""

    def __init__(self, house: House, person: Person, *, operator: bool = False) -> None:
        sign = operator_sign_in if operator else sign_in
        signed_in = sign(house.services.db, house.services.kit, person.email, PASSWORD)
        name = "operator" if operator else "session"
        self.session_id = signed_in.session_id
        self.csrf = house.services.sessions.csrf_token(signed_in.session_id)
        self._client = house.client
        self._cookies = {name: house.services.sessions.issue(signed_in, 1000)}

    def keep(self, name: str, value: str) -> None:
        """One more cookie."""
        self._cookies[name] = value

    async def get(self, path: str) -> httpx.Response:
        return await self._client.get(path, headers=self._headers())

    async def post(self, path: str, **fields: str) -> httpx.Response:
        form = fields | {"csrf_token": self.csrf}
        return await self._client.post(path, headers=self._headers(), data=form)

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}


@pytest.fixture
async def strangers(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever is told of a fault by its exception would not see what a real client sees."""
    way = httpx.ASGITransport(app=house.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=way, base_url=house.services.settings.base_url) as client:
        yield client


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "null", "https://evil.example"])
async def test_an_unreadable_origin_is_a_foreign_one(strangers: httpx.AsyncClient, origin: str) -> None:
    answer = await strangers.post("/api/v1/sessions", headers={"Origin": origin}, json={})
    problem(answer, 403, "foreign_request")
    assert (await strangers.post("/login", headers={"Origin": origin}, data={})).status_code == 403


@pytest.mark.parametrize("referer", ["http://[", "http://[::1", "http://testserver//evil.example", "//"])
async def test_an_unreadable_referrer_leads_nowhere(strangers: httpx.AsyncClient, referer: str) -> None:
    refused = await strangers.post("/login", headers={"Referer": referer}, data={"email": "a@example.test"})
    assert refused.status_code == 401
    assert "evil.example" not in refused.text
    sent_away = await strangers.post("/me", headers={"Referer": referer}, data={})
    assert sent_away.headers["location"] == "/login?next=/"


async def test_who_is_led_to_the_log_in_comes_back_to_the_very_path(strangers: httpx.AsyncClient) -> None:
    answer = await strangers.get("/orders/a%26done%3Dreset%23x")
    assert answer.headers["location"] == "/login?next=/orders/a%26done%3Dreset%23x"


@pytest.mark.parametrize("nearest", ["unknown", "1.2.3.4.5", "", "198.51.100.7:4711"])
async def test_a_forged_address_is_not_believed_because_the_nearest_one_is_unreadable(
    house: House, nearest: str
) -> None:
    settings = house.services.settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8",)})
    layer = Layer(house.app.layer, settings, house.services.metrics, [])
    lines = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", nearest.encode())]
    scope = {"headers": lines, "client": ("10.0.0.1", 1), "scheme": "http"}
    assert layer._believable(scope) == []
    assert scope["client"] == ("10.0.0.1", 1)


# ---------------------------------------------------------------- forms and cookies


_NOT_UTF_8 = b'--abc\r\nContent-Disposition: form-data; name="email"\r\n\r\n\xff\r\n--abc--\r\n'


@pytest.mark.parametrize("path", ["/login", "/signup", "/operator/login", "/me"])
async def test_a_form_that_is_not_utf_8_is_refused(
    house: House, strangers: httpx.AsyncClient, path: str
) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=abc"}
    assert (await strangers.post(path, headers=headers, content=_NOT_UTF_8)).status_code == 400
    browser = Browser(house, await house.buyer())
    answer = await strangers.post(path, headers=headers | browser._headers(), content=_NOT_UTF_8)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/api/v1/sessions", "application/json"),
        ("/api/v1/payments/callbacks/simulator", "application/json"),
        ("/login", FORM),
        ("/login", "multipart/form-data; boundary=abc"),
    ],
)
async def test_a_client_that_goes_away_in_the_middle_of_its_body_is_no_fault_of_ours(
    house: House, path: str, media_type: str
) -> None:
    news = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    statuses = []

    async def receive() -> Any:
        return news.pop(0) if news else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
    }
    scope |= {
        "headers": [(b"content-type", media_type.encode())],
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    scope |= {"http_version": "1.1", "scheme": "http", "server": ("testserver", 80), "state": {}}
    await house.app(scope, receive, send)
    assert statuses == [400]


async def test_a_number_without_end_is_no_quantity(house: House) -> None:
    browser = Browser(house, await house.buyer())
    assert (await browser.post(f"/cart/items/{house.products[0]}", quantity="9" * 5000)).status_code == 422


@pytest.mark.parametrize("path", ["/verify", "/login?done=reset", "/reset"])
@pytest.mark.parametrize(
    "kept", ["AAAA", "////", "%00", base64.urlsafe_b64encode(b"\x04test" + bytes(40)).decode()]
)
async def test_a_remembered_address_that_cannot_be_opened_is_forgotten(
    strangers: httpx.AsyncClient, path: str, kept: str
) -> None:
    answer = await strangers.get(path, headers={"Cookie": f"pending={kept}"})
    assert answer.status_code == 200


# ---------------------------------------------------------------- sessions that have ended


async def test_an_ended_session_opens_nothing_of_mine(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    order_id = await house.reserved(buyer, sale)
    browser, program = Browser(house, buyer), Browser(house, buyer)
    token = program._cookies["session"]
    for session_id in (browser.session_id, program.session_id):
        sign_out(house.services.db, session_id)

    for path in ("/orders", f"/orders/{order_id}", "/cart", "/me"):
        assert (await browser.get(path)).headers["location"] == f"/login?next={path}"
        answer = await house.client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
        problem(answer, 401, "not_signed_in")
    for path in (f"/orders/{order_id}/payment", f"/orders/{order_id}/cancel", "/cart/items/poster/remove"):
        assert (await browser.post(path)).headers["location"].startswith("/login")
    assert (await buyer.ask("GET", f"/orders/{order_id}")).json()["state"] == "reserved"


async def test_an_ended_session_does_not_open_the_address_book_by_the_checkout(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    home = {
        "recipient": "Kim",
        "line1": "Sejong-daero 110",
        "city": "Seoul",
        "postcode": "1",
        "country": "KR",
    }
    assert (await buyer.ask("POST", "/me/addresses", json=home)).status_code == 201
    browser = Browser(house, buyer)
    browser.keep(f"pass_{house.sale_id(sale)}", await house.admitted(buyer, sale))
    assert "Sejong-daero" in (await browser.get(f"/sales/{sale}/checkout")).text

    sign_out(house.services.db, browser.session_id)
    answer = await browser.get(f"/sales/{sale}/checkout")
    assert answer.headers["location"] == f"/login?next=/sales/{sale}/checkout"


# ---------------------------------------------------------------- what an operator mistypes


@pytest.mark.parametrize(
    "times",
    [
        {"lobby_opens_at": "0001-01-01T00:00:00Z"},
        {"lobby_opens_at": "1969-12-31T23:59:59Z"},
        {"closes_at": "9999-12-31T23:59:59Z"},
        {"closes_at": "9999-12-31T23:59:00-14:00"},
        {"lobby_opens_at": "0001-01-01T00:00:00+14:00"},
    ],
)
async def test_a_mistyped_year_is_refused_and_stops_no_page(house: House, times: dict[str, str]) -> None:
    operator = await house.operator()
    answer = await operator.ask("POST", "/operator/sales", json=house.draft(**times))
    body = problem(answer, 422, "bad_fields")
    assert [fault["field"] for fault in body["errors"]] == list(times)
    await house.services.snapshot.renew()
    assert (await house.client.get("/api/v1/sales")).status_code == 200


@pytest.mark.parametrize("moment", ["0001-01-01T00:00", "9999-12-31T23:59", "0001-01-01"])
async def test_a_mistyped_year_is_refused_in_the_form_too(
    house: House, strangers: httpx.AsyncClient, moment: str
) -> None:
    browser = Browser(house, await house.operator(), operator=True)
    fields = dict.fromkeys(("lobby_opens_at", "opens_at", "closes_at"), moment)
    form = fields | {"csrf_token": browser.csrf, "slug": "x", "title": "x"}
    for language in ("en", "ko"):
        headers = browser._headers() | {"Accept-Language": language}
        answer = await strangers.post("/operator/sales/new", headers=headers, data=form)
        assert answer.status_code == 422
