"""A waiting page on a bad day: lost networks and answers, foreign answers, a wrong clock, a tab out of sight. The place stays."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages.conftest import Visit, Witness, called_buyer, log_in, open_sale
from tests.pages.waiting import STEP_MS, Glass
from tests.running import RunningDemo

EVERY_MS = 5_000


def every_five_seconds(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "poll_after_ms": EVERY_MS}


@pytest.fixture
def glass(visit: Visit, demo: RunningDemo) -> Glass:
    """A buyer in line behind one who was called, in a sale of one slot."""
    slug, _ = open_sale(demo, 9, capacity=1)
    called_buyer(demo, 34, slug)
    page = visit("/")
    log_in(page, 35, f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    expect(page.locator("#line")).to_have_attribute("data-state", "waiting")
    return Glass(page, slug)


def come_back(page: Page) -> None:
    page.evaluate("window.setHidden(false)")


def test_there_is_one_chain_of_questions_and_it_obeys_the_server(glass: Glass) -> None:
    glass.change(every_five_seconds)
    page = glass.open_with_time_held()
    come_back(page)
    glass.settle()
    assert glass.pass_time(EVERY_MS - 100) == 0, "not before the server said"
    assert glass.pass_time(200) == 1
    for event in ("visibilitychange", "visibilitychange"):
        page.evaluate("(name) => document.dispatchEvent(new Event(name))", event)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert glass.pass_time(1_600) == 1, "whoever comes back asks soon, once"
    assert [glass.pass_time(EVERY_MS) for _ in range(4)] == [1, 1, 1, 1], "and no second chain was begun"


def test_a_page_out_of_sight_asks_seldom_and_at_once_when_it_is_seen_again(glass: Glass) -> None:
    glass.change(every_five_seconds)
    page = glass.open_with_time_held()
    ceiling = int(page.locator("#line").get_attribute("data-ceiling") or 0)
    assert ceiling <= 45_000, "a called buyer has to be seen within 45 s"
    page.evaluate("window.setHidden(true)")
    glass.pass_time(ceiling)  # what was due before
    assert glass.pass_time(10 * ceiling) in (9, 10, 11)
    asked, _ = glass.counts()
    come_back(page)
    glass.settle()
    assert glass.pass_time(1_600) + glass.counts()[0] - asked >= 1


def lost(route: Route) -> None:
    route.abort("connectionreset")


def portal(route: Route) -> None:
    route.fulfill(status=200, content_type="text/html", body="<h1>Welcome to our train</h1>")


def half(route: Route) -> None:
    route.fulfill(status=200, content_type="application/json", body='{"state": "call')


def overloaded(route: Route) -> None:
    route.fulfill(
        status=503, headers={"Retry-After": "20"}, content_type="application/problem+json", body="{}"
    )


def impatient(route: Route) -> None:
    route.fulfill(
        status=429, headers={"Retry-After": "7"}, content_type="application/problem+json", body="{}"
    )


def test_lost_and_foreign_answers_keep_the_place_on_the_screen(glass: Glass, witness: Witness) -> None:
    witness.foreseen = ("Failed to load resource",)
    glass.change(every_five_seconds)
    page = glass.open_with_time_held()
    number = page.locator("[data-fill=number]").inner_text()
    notice = page.locator("#busy")
    for mishap in (lost, portal, half):
        glass.break_by(mishap)
        assert glass.pass_time(12_000) >= 2, mishap.__name__
        expect(notice).to_be_visible()
        expect(page.locator("#said")).to_contain_text("Your place is kept")
        assert "offline" in (page.locator("link[rel=icon]").get_attribute("href") or "")
        assert page.locator("[data-fill=number]").inner_text() == number
        expect(page.locator("h1")).to_have_text("You are in line", use_inner_text=True)
        minute = glass.pass_time(60_000)
        assert 1 <= minute <= 5, "patience grows"
        glass.change(every_five_seconds)
        glass.pass_time(60_000)
        expect(notice).to_be_hidden()

    glass.break_by(overloaded)
    while not glass.pass_time(STEP_MS):
        pass  # until it has asked once
    assert glass.pass_time(19_000) == 0, "Retry-After is obeyed"
    assert glass.pass_time(3_000) == 1


def test_being_asked_to_wait_is_no_problem(glass: Glass, witness: Witness) -> None:
    witness.foreseen = ("429",)
    glass.change(every_five_seconds)
    page = glass.open_with_time_held()
    come_back(page)
    glass.settle()
    glass.break_by(impatient)
    assert glass.pass_time(EVERY_MS + 100) == 1
    assert glass.pass_time(6_500) == 0, "Retry-After is obeyed"
    assert glass.pass_time(1_800) == 1
    for notice in ("#busy", "#offline", "#problem"):
        expect(page.locator(notice)).to_be_hidden()


def test_a_lost_network_keeps_the_place_and_the_page_goes_on_by_itself(
    glass: Glass, demo: RunningDemo, witness: Witness
) -> None:
    witness.foreseen = ("ERR_INTERNET_DISCONNECTED",)
    page = glass.open()
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    page.get_by_text("Leave the line", exact=True).click()
    page.get_by_role("button", name="Yes, leave the line").click()
    expect(page.locator("h1")).to_have_text("You are in line", use_inner_text=True)
    slug = glass.address.split("/")[2]
    demo.buyer(34).client.delete(f"/api/v1/sales/{slug}/ticket")
    page.context.set_offline(False)
    expect(page.locator("h1")).to_have_text("It is your turn", use_inner_text=True, timeout=12_000)
    expect(page.locator("#offline")).to_be_hidden()


def seconds_left(page: Page) -> int:
    minutes, seconds = page.locator("[data-fill-to=turn_expires_at]").inner_text().split(":")
    return int(minutes) * 60 + int(seconds)


def test_the_turn_runs_on_the_servers_time_and_its_lost_answer_is_asked_for_again(
    visit: Visit, demo: RunningDemo, witness: Witness
) -> None:
    witness.foreseen = ("ERR_FAILED", "ERR_CONNECTION_RESET")
    slug, _ = open_sale(demo, 9)
    called_buyer(demo, 36, slug)
    page = visit("/")
    log_in(page, 36)
    glass = Glass(page, slug, clock_wrong_ms=3_600_000)
    glass.open()
    expect(page.locator("h1")).to_have_text("It is your turn", use_inner_text=True)
    assert 60 < seconds_left(page) <= 120, "the device's clock is an hour fast"
    shown = page.locator("[data-fill-to=turn_expires_at]").inner_text()
    page.evaluate("window.moveClock(-7_200_000)")
    expect(page.locator("[data-fill-to=turn_expires_at]")).not_to_have_text(shown)
    assert 60 < seconds_left(page) <= 120, "and then it was set, to an hour slow"

    def answer_lost(route: Route) -> None:
        assert route.fetch(max_redirects=0).status == 303, "the server has done it"
        route.abort("connectionreset")

    page.route("**/claim", answer_lost)
    page.get_by_role("button", name="Start checkout").click()
    expect(page.locator("#busy")).to_be_visible()
    expect(page.locator("h1")).to_have_text("It is your turn", use_inner_text=True)
    page.unroute("**/claim")
    page.get_by_role("button", name="Start checkout").click()
    expect(page.locator("h1")).to_have_text("Checkout")
