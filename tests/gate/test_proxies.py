"""The gate behind the real proxies, with the configuration that we document: nothing but a good pass opens, however it is asked."""

from __future__ import annotations

import re

import httpx

from tests.api.conftest import PASSWORD, Person
from tests.gate.conftest import ROOM, TICKETS, Seen, Street, good_pass

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
PLAIN = ("/shop/thing", "/shop/thing?sale=another&answer=303&site=http://evil.example", "/shop/%74hing")
# Another spelling of the same place, or of none, as the proxy sees it: with a good pass at most.
SPELT = ("/SHOP/thing", "/Shop/Thing", "http://sale.example.com/shop/thing", "http://evil.example/shop/thing")
# What one program may read differently from the next: never, for nobody.
TRICKS = (
    *(
        "//shop/thing",
        "/shop//thing",
        "/shop/./thing",
        "/./shop/thing",
        "/shop/../shop/thing",
        "/x/../shop/thing",
    ),
    *("/shop%2fthing", "/shop/%2fthing", "/shop/%2e/thing", "/shop/%2e%2e/shop/thing", "/%2e/shop/thing"),
    *("/shop;a=b/thing", "/shop/;/thing", "/shop/..;/shop/thing", "/shop\\thing", "/shop/..%5cthing"),
    *("/shop/%252e%252e/thing", "/shop/thing%00", "/shop/thing/..", "/shop/thing/%2E%2e/%2e"),
    *("http://sale.example.com//shop/thing", "/_firstcome/gate", "/gate/verify?sale=another"),
)
GAMES = {
    "X-Original-URI": "/open",
    "X-Original-URL": "/open",
    "X-Rewrite-URL": "/open",
    "X-Forwarded-Uri": "//evil.example/",
    "X-Forwarded-Method": "OPTIONS",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": "/open",
    "X-HTTP-Method-Override": "OPTIONS",
    "X-Firstcome-Account": "mallory",
    "X-Firstcome-Sale": "mallory",
    "X-Firstcome-Room": "http://evil.example/",
    "x-firstcome-ticket": "mallory",
}


async def test_only_a_good_pass_opens_whatever_the_path_the_method_and_the_headers(
    streets: list[Street],
) -> None:
    here = streets[0]
    buyer = await here.house.buyer()
    admission = await here.house.admitted(buyer, here.sale)
    for street in streets:
        try_everything(street, buyer, admission)
        cookies_and_tokens_stay_in_the_room(street, admission)


def try_everything(street: Street, buyer: Person, admission: str) -> None:
    for kind, token in street.passes(admission).items():
        shown = {} if token is None else {"Cookie": f"pass_{street.sale_id}={token}"}
        for method in METHODS:
            for target in (*PLAIN, *SPELT, *TRICKS):
                answer = street.ask(method, target, GAMES | shown)
                reached = street.shop.taken()
                case = (street.proxy, kind, method, target, answer.status)
                if kind != "good" or target in TRICKS:
                    assert reached == [], case
                    assert target not in PLAIN or answer.status == 401, case
                elif target in PLAIN:
                    assert [(seen.method, seen.target) for seen in reached] == [(method, target)], case
                for seen in reached:
                    identity_is_that_of_the_pass(street, seen, buyer, admission)


def identity_is_that_of_the_pass(street: Street, seen: Seen, buyer: Person, admission: str) -> None:
    known = good_pass(street, admission)
    assert known.account_id == buyer.account_id
    assert seen.one("x-firstcome-account") == buyer.account_id
    assert seen.one("x-firstcome-ticket") == known.ticket_id
    assert seen.one("x-firstcome-sale") == street.sale_id
    assert seen.one("x-firstcome-pass") == known.jti
    assert seen.one("x-firstcome-expires") == str(known.exp)
    assert "mallory" not in str(seen.headers)
    assert not seen.one("x-firstcome-room")


def cookies_and_tokens_stay_in_the_room(street: Street, admission: str) -> None:
    sale_id = street.sale_id
    kept = f"basket=1; pass_{sale_id}={admission}; ticket_{sale_id}=t; session=s; receipt_{sale_id}=r; theme=dark"
    assert street.ask("GET", "/shop/a", {"Cookie": kept}).status == 200
    assert (
        street.ask("POST", "/shop/b", {"Cookie": f"pass_{sale_id}={admission}", "Content-Length": "0"}).status
        == 200
    )
    tokens = {"Admission-Pass": admission, "Waiting-Room-Ticket": "t", "Order-Receipt": "r"}
    assert street.ask("GET", "/shop/c", tokens).status == 200
    first, second, third = street.shop.taken()
    assert first.one("cookie") == "basket=1; theme=dark"
    assert not second.one("cookie")
    assert [third.one(name.lower()) for name in tokens] == [None, None, None]
    assert not third.one("cookie")


async def test_a_browser_is_led_to_the_line_and_back_to_where_it_wanted_to_be(streets: list[Street]) -> None:
    for street in streets:
        await to_the_line_and_back(street)
        await to_another_host(street)


async def to_the_line_and_back(street: Street) -> None:
    with street.browser() as browser:
        turned_away = browser.get(f"{ROOM}/shop/thing?colour=red")
        assert turned_away.status_code == 303
        in_room = turned_away.headers["location"]
        assert in_room.startswith(f"{ROOM}/sales/{street.sale}/line?return=")
        assert "thing" not in in_room, "what somebody looked at stands in no address of the room"
        await through_the_line(street, browser, in_room)
        onward = claim(street, browser)
        assert onward.headers["location"] == "/shop/thing?colour=red"
        assert browser.get(f"{ROOM}/shop/thing?colour=red").text == "the site"
        page = browser.get(f"{ROOM}/sales/{street.sale}/line").text
        assert f'href="/sales/{street.sale}/continue"' in page
        assert "Continue to the site" in page


async def to_another_host(street: Street) -> None:
    """The pass travels by a code that is good once, there and nowhere else."""
    with street.browser() as browser:
        in_room = browser.get(f"{TICKETS}/seats?row=7").headers["location"]
        await through_the_line(street, browser, in_room)
        entrance = claim(street, browser).headers["location"]
        assert re.fullmatch(rf"{TICKETS}/gate/enter\?code={street.sale_id}\.[\w-]{{43}}", entrance)

        arrived = browser.get(entrance)
        assert (arrived.status_code, arrived.headers["location"]) == (303, "/seats?row=7")
        assert browser.get(f"{TICKETS}/seats?row=7").text == "the site"
        (seen,) = street.tickets.taken()
        assert seen.one("x-firstcome-sale") == street.sale_id
        assert not seen.one("cookie")

        opens_nothing(browser.get(entrance))
        codes_of_another_browser_open_nothing(street, browser)
        # Another code, which another host tries: it is spent without having opened anything.
        entrance = browser.get(f"{ROOM}/sales/{street.sale}/continue").headers["location"]
        elsewhere = browser.get(entrance.replace(TICKETS, ROOM))
        assert elsewhere.status_code == 403
        assert "set-cookie" not in elsewhere.headers


def codes_of_another_browser_open_nothing(street: Street, browser: httpx.Client) -> None:
    """Neither where the site never was, nor where it keeps a nonce of its own; and whoever tried has spent it."""
    with street.browser() as stranger, street.browser() as victim:
        assert victim.get(f"{TICKETS}/seats").status_code == 303
        assert victim.cookies["gate_nonce"] != browser.cookies["gate_nonce"]
        for other in (stranger, victim):
            entrance = browser.get(f"{ROOM}/sales/{street.sale}/continue").headers["location"]
            opens_nothing(other.get(entrance))
            opens_nothing(browser.get(entrance))
            assert other.get(f"{TICKETS}/seats").status_code == 303
    assert street.tickets.taken() == []


def opens_nothing(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers


async def through_the_line(street: Street, browser: httpx.Client, in_room: str) -> None:
    """From the gate into the line: signing in and joining on the way, until the turn is called."""
    person = await street.house.buyer()
    arrived = browser.get(in_room)
    assert arrived.headers["location"] == f"/sales/{street.sale}/line"
    assert browser.get(f"{ROOM}/sales/{street.sale}/line").headers["location"] == f"/sales/{street.sale}"
    here = {"Origin": ROOM}
    form = {"email": person.email, "password": PASSWORD, "next": f"/sales/{street.sale}"}
    assert browser.post(f"{ROOM}/login", data=form, headers=here).status_code == 303
    assert press(street, browser, "join").headers["location"] == f"/sales/{street.sale}/line"
    await street.house.tick(street.sale)


def claim(street: Street, browser: httpx.Client) -> httpx.Response:
    """Start what the turn is for; the answer of the step that leads back."""
    claimed = press(street, browser, "claim", page="line")
    assert claimed.headers["location"] == f"/sales/{street.sale}/continue"
    onward = browser.get(f"{ROOM}/sales/{street.sale}/continue")
    assert onward.status_code == 303
    return onward


def press(street: Street, browser: httpx.Client, button: str, page: str = "") -> httpx.Response:
    """Send one of the forms of a page."""
    shown = browser.get(f"{ROOM}/sales/{street.sale}/{page}".rstrip("/")).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', shown)
    assert token, shown
    answer = browser.post(
        f"{ROOM}/sales/{street.sale}/{button}", data={"csrf_token": token[1]}, headers={"Origin": ROOM}
    )
    assert answer.status_code == 303, answer.text
    return answer
