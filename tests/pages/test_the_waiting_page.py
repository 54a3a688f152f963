"""The waiting page in a real browser: it follows the line by itself, keeps the place through a lost network, and says so."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.pages.conftest import Visit, called_buyer, log_in, open_sale, waiting_buyer
from tests.running import RunningDemo


def headline(page: Page, words: str) -> None:
    expect(page.locator("h1")).to_have_text(words, use_inner_text=True, timeout=12_000)


def test_the_page_follows_the_line_to_the_turn_without_being_loaded_again(
    visit: Visit, demo: RunningDemo
) -> None:
    slug, _ = open_sale(demo, 9, capacity=1)
    first = called_buyer(demo, 31, slug)
    second = waiting_buyer(demo, 32, slug)
    page = visit("/", width=390)
    log_in(page, 33, f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    headline(page, "You are in line")
    expect(page.locator("[data-fill=ahead]")).to_have_text("1")
    number = page.locator("[data-fill=number]").inner_text()
    assert page.title().startswith("(1) In line")
    page.evaluate("window.notLoadedAgain = true")

    first.client.delete(f"/api/v1/sales/{slug}/ticket")
    second.await_call(slug)
    expect(page.locator("[data-fill=ahead]")).to_have_text("0", timeout=12_000)
    assert page.locator("[data-fill=number]").inner_text() == number, "a number never changes"
    second.client.delete(f"/api/v1/sales/{slug}/ticket")

    headline(page, "It is your turn")
    assert page.evaluate("window.notLoadedAgain"), "the page was brought up to date in place"
    assert page.title().startswith("● Your turn, ")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert "called" in (page.locator("link[rel=icon]").get_attribute("href") or "")

    before = page.locator("[data-fill-to=turn_expires_at]").get_attribute("data-countdown") or ""
    page.get_by_role("button", name="I need more time (once)").click()
    expect(page.get_by_role("button", name="I need more time (once)")).to_be_hidden()
    after = page.locator("[data-fill-to=turn_expires_at]").get_attribute("data-countdown") or ""
    assert after > before, "the turn got longer"


def test_leaving_asks_first_and_a_new_place_can_be_taken(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 9)
    page = visit("/", script=False)
    log_in(page, 38, f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    number = int(page.locator("[data-fill=number]").inner_text())
    page.get_by_text("Leave the line", exact=True).click()
    page.get_by_role("button", name="Yes, leave the line").click()
    headline(page, "You have left the line")
    page.get_by_role("button", name="Join again with a new number").click()
    assert int(page.locator("[data-fill=number]").inner_text()) > number


def test_the_ticket_alone_shows_the_place_and_the_turn_asks_for_the_account(
    visit: Visit, demo: RunningDemo
) -> None:
    slug, _ = open_sale(demo, 9)
    page = visit("/")
    log_in(page, 39, f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    headline(page, "It is your turn")
    page.context.clear_cookies(name="session")
    page.goto(f"/sales/{slug}/line")
    headline(page, "It is your turn")
    expect(page.get_by_text("To start the checkout you need to be logged in on this device.")).to_be_visible()
    page.get_by_role("button", name="Start checkout").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.fill("#email", "buyer39@example.test")
    page.fill("#password", "demo-buyer-pass")
    page.locator("main").get_by_role("button", name="Log in").click()
    headline(page, "It is your turn")
