"""The operator's pages in a real browser: a sale window is made, watched, steered and ended, with and without a script."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from tests.pages.conftest import Visit, Witness, log_in, log_in_operator, open_sale, waiting_buyer
from tests.running import RunningDemo


def state(page: Page) -> str:
    return page.locator(".state .word").inner_text()


def test_an_operator_makes_a_sale_window_and_every_bad_field_is_named(visit: Visit, witness: Witness) -> None:
    witness.foreseen = ("422",)
    page = visit("/")
    log_in_operator(page, "/operator/sales/new")
    slug = f"made-{uuid.uuid4().hex[:6]}"
    now = datetime.now(UTC)
    page.fill("#title", "Made by hand")
    page.fill("#slug", slug)
    for field, minutes in (("lobby_opens_at", -5), ("opens_at", 60), ("closes_at", 30)):
        page.fill(f"#{field}", (now + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M"))
    page.locator("input[name^=allotted-]").first.fill("3")
    page.fill("#turn_window_s", "1")
    page.get_by_role("button", name="Create the sale window").click()
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#closes_at")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#turn_window_s")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#title")).to_have_value("Made by hand")

    page.fill("#closes_at", (now + timedelta(minutes=180)).strftime("%Y-%m-%dT%H:%M"))
    page.fill("#turn_window_s", "120")
    page.get_by_role("button", name="Create the sale window").click()
    expect(page.locator("h1")).to_have_text("Made by hand")
    assert state(page) == "Lobby open"
    page.get_by_role("button", name="Open now").click()
    expect(page.locator(".state .word")).to_have_text("Open", use_inner_text=True, timeout=12_000)


def test_figures_come_without_loading_the_page_again(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 9, capacity=1)
    page = visit("/")
    log_in_operator(page, f"/operator/sales/{slug}")
    expect(page.locator("[data-fill='line.waiting']")).to_have_text("0")
    page.wait_for_timeout(500)
    page.evaluate("window.notLoadedAgain = true")
    waiting_buyer(demo, 41, slug)
    waiting_buyer(demo, 42, slug)
    expect(page.locator("[data-fill='line.waiting']")).to_have_text("1", timeout=12_000)
    expect(page.locator("[data-fill='line.called']")).to_have_text("1", timeout=12_000)
    expect(page.locator("#chart canvas")).to_be_visible()
    assert page.evaluate("window.notLoadedAgain")


def test_pausing_resuming_pace_and_words_reach_those_who_wait(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 9, capacity=1)
    waiting_buyer(demo, 43, slug)
    buyer = visit("/")
    log_in(buyer, 44, f"/sales/{slug}")
    buyer.get_by_role("button", name="Join the line").click()

    page = visit("/", script=False)
    log_in_operator(page, f"/operator/sales/{slug}")
    page.get_by_role("button", name="Pause the calls").click()
    expect(page.get_by_text("Done: calls paused")).to_be_visible()
    page.reload()
    page.fill("#calls_per_minute", "77")
    page.locator("form[action$=set-rate] button").click()
    expect(page.locator("#calls_per_minute")).to_have_value("77")
    page.fill("#message_en", "Tea is served meanwhile.")
    page.get_by_role("button", name="Show this message").click()

    expect(buyer.locator("#message")).to_contain_text("Tea is served meanwhile.", timeout=12_000)
    expect(buyer.get_by_text("The shop has paused the line for a moment.")).to_be_visible(timeout=12_000)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Done: resumed")).to_be_visible()


def test_grave_actions_ask_first_also_without_a_script(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 9)
    page = visit("/", script=False, width=390)
    log_in_operator(page, f"/operator/sales/{slug}")
    expect(page.get_by_role("button", name="Yes, halt everything now")).to_be_hidden()
    page.get_by_text("Halt everything…").click()
    page.get_by_role("button", name="Yes, halt everything now").click()
    expect(page.get_by_text("Done: everything halted")).to_be_visible()
    page.get_by_text("Close the sale…").click()
    page.get_by_role("button", name="Yes, close the sale").click()
    expect(page.get_by_text("Done: closed")).to_be_visible()
    page.reload()
    assert state(page) == "Closed"
    assert page.locator("form[action*='/actions/']").count() == 0


def test_a_viewer_watches_and_changes_nothing(visit: Visit, witness: Witness) -> None:
    witness.foreseen = ("403",)
    page = visit("/")
    log_in_operator(page, "/operator/sales/demo", "viewer@example.test")
    expect(page.locator(".tiles")).to_be_visible()
    assert page.locator("form[action*='/actions/']").count() == 0
    page.goto("/operator/sales/new")
    expect(page.locator("h1")).to_have_text("Your account may not do that")


def test_the_orders_of_a_sale_can_be_looked_through(visit: Visit, demo: RunningDemo) -> None:
    slug, product = open_sale(demo, 9)
    buyer = waiting_buyer(demo, 45, slug)
    buyer.buy(slug, {product: 1})
    page = visit("/")
    log_in_operator(page, f"/operator/sales/{slug}/orders")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("Paid")
    page.select_option("#state", "expired")
    page.get_by_role("button", name=re.compile("^Show")).click()
    expect(page.get_by_text("No orders here yet.")).to_be_visible()


def test_a_buyers_session_opens_no_operators_page(visit: Visit) -> None:
    page = visit("/")
    log_in(page, 46, "/operator")
    assert "/operator/login" in page.url
