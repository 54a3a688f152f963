"""Accounts, sessions and what keeps other sites and other servers out."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gateway.cookies import cookie
from shop.accounts.sessions import sign_in
from tests.api.conftest import PASSWORD, House, Person, problem


async def browser(house: House) -> tuple[Person, dict[str, str], str]:
    """A buyer whose session is in a cookie: the person, the cookies and the CSRF token."""
    buyer = await house.buyer()
    signed_in = sign_in(house.services.db, house.services.kit, buyer.email, PASSWORD)
    cookies = {"session": house.services.sessions.issue(signed_in, 1000)}
    return buyer, cookies, house.services.sessions.csrf_token(signed_in.session_id)


async def ask(
    house: House, method: str, path: str, cookies: dict[str, str], **headers: str
) -> httpx.Response:
    text = "; ".join(f"{name}={value}" for name, value in cookies.items())
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Cookie": text}
    return await house.client.request(method, f"/api/v1{path}", headers=sent)


async def test_a_newcomer_signs_up_verifies_and_signs_in(house: House) -> None:
    send = house.client.post
    body = {"email": "new@example.test", "password": PASSWORD, "name": "Kim Minji"}
    first = await send("/api/v1/accounts", json=body)
    assert first.status_code == 202
    again = await send("/api/v1/accounts", json=body)
    assert again.status_code == 202
    assert set(again.json()) == set(first.json()) == {"account_id"}
    credentials = {"email": "new@example.test", "password": PASSWORD}
    problem(await send("/api/v1/sessions", json=credentials), 403, "unverified")
    problem(
        await send("/api/v1/sessions", json=credentials | {"password": "another one"}), 401, "bad_credentials"
    )
    wrong = {"email": "new@example.test", "code": "WRONGCODE"}
    problem(await send("/api/v1/accounts/verify", json=wrong), 400, "bad_code")


async def test_tokens_rotate_and_reuse_ends_the_session(house: House) -> None:
    buyer = await house.buyer()
    credentials = {"email": buyer.email, "password": PASSWORD}
    signed_in = (await house.client.post("/api/v1/sessions", json=credentials)).json()
    assert set(signed_in) == {"access_token", "token_type", "expires_in_s", "refresh_token"}
    path = "/api/v1/sessions/refresh"
    second = (await house.client.post(path, json={"refresh_token": signed_in["refresh_token"]})).json()
    third = (await house.client.post(path, json={"refresh_token": second["refresh_token"]})).json()
    assert third["access_token"]
    reused = await house.client.post(path, json={"refresh_token": signed_in["refresh_token"]})
    problem(reused, 401, "session_ended")
    problem(
        await house.client.post(path, json={"refresh_token": third["refresh_token"]}), 401, "session_ended"
    )


async def test_my_data_is_mine_to_read_change_and_erase(house: House) -> None:
    buyer = await house.buyer()
    assert (await buyer.ask("GET", "/me")).json()["email"] == buyer.email
    changed = (await buyer.ask("PATCH", "/me", json={"name": "Kim Haneul", "locale": "ko"})).json()
    assert (changed["name"], changed["locale"]) == ("Kim Haneul", "ko")
    problem(await buyer.ask("PATCH", "/me", json={"name": "", "email": "x"}), 422, "bad_fields")
    home = {
        "recipient": "Kim",
        "line1": "Sejong-daero 110",
        "city": "Seoul",
        "postcode": "04524",
        "country": "KR",
    }
    saved = (await buyer.ask("POST", "/me/addresses", json=home)).json()
    problem(await buyer.ask("POST", "/me/addresses", json=home | {"country": "Korea"}), 422, "bad_fields")
    path = f"/me/addresses/{saved['address_id']}"
    assert (await buyer.ask("PUT", path, json=home | {"city": "Busan"})).json()["city"] == "Busan"
    stranger = await house.buyer()
    problem(await stranger.ask("PUT", path, json=home), 404, "unknown_address")
    problem(await stranger.ask("DELETE", path), 404, "unknown_address")
    assert len((await buyer.ask("GET", "/me/addresses")).json()["items"]) == 1
    assert (await buyer.ask("DELETE", path)).status_code == 204
    assert (await buyer.ask("DELETE", "/me")).status_code == 204
    problem(await buyer.ask("GET", "/me"), 401, "not_signed_in")


async def test_a_cart_holds_what_is_put_into_it(house: House) -> None:
    buyer, product = await house.buyer(), house.products[0]
    path = f"/cart/items/{product}"
    assert (await buyer.ask("PUT", path, json={"quantity": 3})).json()["items"][0]["quantity"] == 3
    problem(await buyer.ask("PUT", path, json={"quantity": 0}), 422, "bad_fields")
    problem(await buyer.ask("PUT", path, json={"quantity": 100}), 422, "bad_fields")
    problem(await buyer.ask("PUT", "/cart/items/nothing", json={"quantity": 1}), 404, "unknown_product")
    assert (await buyer.ask("GET", "/cart")).json()["items"][0]["quantity"] == 3
    assert (await buyer.ask("DELETE", path)).json() == {"items": []}


async def test_guessing_is_slowed_down(house: House) -> None:
    buyer = await house.buyer()
    wrong = {"email": buyer.email, "password": "not the password"}
    answers = [await house.client.post("/api/v1/sessions", json=wrong) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    problem(answers[-1], 429, "too_many_attempts")


async def test_a_stampede_of_sign_ins_is_refused_at_once_and_the_line_does_not_feel_it(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    settings = house.services.settings
    most = settings.login_threads + settings.login_queue
    hold, release = asyncio.Event(), asyncio.get_running_loop()
    blocked = [asyncio.create_task(house.services.hashing.run(_wait_for(hold, release))) for _ in range(most)]
    await asyncio.sleep(0)
    credentials = {"email": buyer.email, "password": PASSWORD}
    problem(await house.client.post("/api/v1/sessions", json=credentials), 503, "overloaded")
    assert (await buyer.ask("PUT", f"/sales/{sale}/ticket")).status_code == 201
    hold.set()
    await asyncio.gather(*blocked)
    assert (await house.client.post("/api/v1/sessions", json=credentials)).status_code == 200


def _wait_for(event: asyncio.Event, loop: asyncio.AbstractEventLoop) -> Any:
    return lambda: asyncio.run_coroutine_threadsafe(event.wait(), loop).result(10)


async def test_a_cookie_and_a_bearer_token_together_are_refused(house: House) -> None:
    buyer, cookies, _ = await browser(house)
    answer = await ask(house, "GET", "/cart", cookies, Authorization=f"Bearer {buyer.token}")
    problem(answer, 400, "two_identities")


async def test_a_change_from_a_browser_needs_its_own_origin_and_its_csrf_token(house: House) -> None:
    sale = await house.sale()
    _, cookies, token = await browser(house)
    path, origin = f"/sales/{sale}/ticket", house.services.settings.base_url
    foreign: list[dict[str, str]] = [
        {},
        {"X_CSRF_Token": "wrong"},
        {"X_CSRF_Token": token, "Origin": "https://evil.example"},
        {"X_CSRF_Token": token, "Origin": "null"},
        {"X_CSRF_Token": token, "Sec_Fetch_Site": "cross-site"},
        {"X_CSRF_Token": token, "Sec_Fetch_Site": "same-site"},
    ]
    for headers in foreign:
        problem(await ask(house, "PUT", path, cookies, **headers), 403, "foreign_request")
    assert house.services.snapshot.line(sale).state.waiting == 0
    joined = await ask(
        house, "PUT", path, cookies, X_CSRF_Token=token, Origin=origin, Sec_Fetch_Site="same-origin"
    )
    assert joined.status_code == 201
    assert (await ask(house, "GET", "/cart", cookies, Sec_Fetch_Site="cross-site")).status_code == 200


async def test_a_ticket_in_a_cookie_is_enough_to_look_and_to_leave(house: House) -> None:
    sale = await house.sale()
    _, cookies, token = await browser(house)
    joined = await ask(house, "PUT", f"/sales/{sale}/ticket", cookies, X_CSRF_Token=token)
    kept = joined.cookies
    (name,) = [name for name in kept if name.startswith("ticket_")]
    cookie = joined.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie.replace("Lax", "lax")
    ticket = {name: kept[name]}
    seen = await ask(house, "GET", f"/sales/{sale}/ticket", ticket)
    assert seen.json()["number"] == 1
    assert "set-cookie" not in seen.headers, "a ticket that still holds is not set again"
    foreign = await ask(house, "DELETE", f"/sales/{sale}/ticket", ticket, Origin="https://evil.example")
    problem(foreign, 403, "foreign_request")
    assert (await ask(house, "DELETE", f"/sales/{sale}/ticket", ticket)).status_code == 204


async def test_a_program_gets_no_cookie(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    for method in ("PUT", "GET"):
        assert "set-cookie" not in (await buyer.ask(method, f"/sales/{sale}/ticket")).headers


async def test_signing_out_takes_the_cookie_back(house: House) -> None:
    _, cookies, token = await browser(house)
    answer = await ask(house, "DELETE", "/sessions/current", cookies, X_CSRF_Token=token)
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/sales", "/api/v1/nothing", "/health/live", "/schema", "/nothing"]
)
async def test_every_answer_carries_the_security_headers(house: House, path: str) -> None:
    headers = (await house.client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "cache-control" in headers


async def test_a_crowds_answers_are_data_and_nothing_else(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    for path in (f"/sales/{sale}/ticket", f"/sales/{sale}/line", "/sales/nothing/ticket"):
        headers = (await buyer.ask("GET", path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] in ("same-origin", "cross-origin")
        assert "json" in headers["content-type"]
        assert "cache-control" in headers
        assert "content-security-policy" not in headers


async def test_introductions_by_other_servers_are_dropped(house: House) -> None:
    buyer = await house.buyer()
    names = ("X-Waiting-Room-Account", "X-Auth-Request-User", "X-User-Id", "X-Forwarded-User", "Remote-User")
    answer = await house.client.get("/api/v1/me", headers=dict.fromkeys(names, buyer.account_id))
    problem(answer, 401, "not_signed_in")


async def test_forwarded_addresses_are_believed_from_trusted_proxies_only(house: House) -> None:
    layer: Any = house.app.layer
    scope = {
        "headers": [(b"x-forwarded-for", b"198.51.100.7, 10.0.0.2")],
        "client": ("10.0.0.1", 1),
        "scheme": "http",
    }
    assert layer._believable(scope) == []
    assert scope["client"] == ("10.0.0.1", 1)
    settings = house.services.settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8",)})
    trusting = type(layer)(house.app, settings, house.services.metrics, [])
    trusting._believable(scope)
    assert scope["client"] == ("198.51.100.7", 0)
    for nonsense in (b"", b"unknown", b"\xff", b",,,", b"1.2.3.4.5"):
        scope = {"headers": [(b"x-forwarded-for", nonsense)], "client": ("10.0.0.1", 1), "scheme": "http"}
        trusting._believable(scope)
        assert scope["client"] == ("10.0.0.1", 1)


async def test_on_https_cookies_belong_to_the_host_alone(house: House) -> None:
    settings = house.services.settings.model_copy(update={"base_url": "https://sale.example.com"})
    kept = cookie(settings, "session", "x", 10)
    assert kept.key == "__Host-session"
    assert kept.secure
    assert kept.httponly


async def test_health_names_what_fails_and_metrics_count(house: House) -> None:
    assert (await house.client.get("/health/live")).json()["status"] == "ok"
    assert (await house.client.get("/health/ready")).json()["status"] == "ready"
    await house.client.get("/api/v1/sales")
    text = (await house.client.get("/metrics")).text
    assert 'firstcome_requests_total{method="GET",route="/api/v1/sales",status="200"' in text
    assert "firstcome_request_seconds_bucket" in text
    broken = house.services.redis
    house.services.redis = None  # type: ignore[assignment]
    body = problem(await house.client.get("/health/ready"), 503, "not_ready")
    assert body["failing"] == ["redis"]
    house.services.redis = broken
    await broken.config_set("maxmemory-policy", "allkeys-lru")
    body = problem(await house.client.get("/health/ready"), 503, "not_ready")
    await broken.config_set("maxmemory-policy", "noeviction")
    assert body["failing"] == ["redis"], "one that throws places away when it is full"
