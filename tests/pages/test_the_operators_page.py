"""The operator's pages in a real browser: a sale window is made, watched, steered and ended, with and without a script."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages.conftest import Visit, Witness, log_in, log_in_operator, open_sale, waiting_buyer
from tests.running import RunningDemo, eventually


def state(page: Page) -> str:
    return page.locator(".state .word").inner_text()


def local(minutes: int) -> str:
    """A time as a form wants it, so many minutes from now, in UTC."""
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M")


def fill_in(page: Page, slug: str, lobby: int = -5, opens: int = 60, closes: int = 180) -> None:
    """A new sale of three units; times in minutes from now."""
    page.goto("/operator/sales/new")
    page.fill("#title", "Made by hand")
    page.fill("#slug", slug)
    page.select_option("#zone", "UTC")
    for field, minutes in (("lobby_opens_at", lobby), ("opens_at", opens), ("closes_at", closes)):
        page.fill(f"#{field}", local(minutes))
    page.locator("input[name^=allotted-]").first.fill("3")


def new_slug() -> str:
    return f"made-{uuid.uuid4().hex[:6]}"


def test_a_draft_is_filled_in_previewed_published_and_opened(visit: Visit, witness: Witness) -> None:
    witness.foreseen = ("422", "404")  # a bad form, and the draft for a stranger
    page, slug = visit("/", timezone_id="Asia/Seoul"), new_slug()
    log_in_operator(page, "/operator/sales/new")
    expect(page.locator("#zone")).to_have_value("Asia/Seoul")
    fill_in(page, slug, closes=30)
    expect(page.locator("[data-utc=closes_at]")).to_have_text(f"In UTC: {local(30).replace('T', ' ')}")
    page.get_by_text("How long everything takes").click()
    page.fill("#turn_window_s", "1")
    page.get_by_role("button", name="Keep as a draft and preview").click()
    expect(page.locator("#problem")).to_be_visible()
    for field in ("#closes_at", "#turn_window_s"):
        expect(page.locator(field)).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#turn_window_s")).to_be_visible()
    expect(page.locator("#title")).to_have_value("Made by hand")

    page.fill("#closes_at", local(180))
    page.fill("#turn_window_s", "120")
    price = page.locator("input[name^=price-]").first
    price.fill("1200.5")
    page.get_by_role("button", name="Keep as a draft and preview").click()
    expect(price).to_have_attribute("aria-invalid", "true")
    price.fill("1200")
    page.get_by_role("button", name="Keep as a draft and preview").click()
    expect(page.locator(".preview-bar")).to_contain_text("It is not public")
    expect(page.locator(".price")).to_have_text("₩1,200")
    page.get_by_role("link", name="The waiting page").click()
    expect(page.get_by_text("people ahead of you", exact=True)).to_be_visible()
    stranger = visit(f"/sales/{slug}")
    expect(stranger.locator("h1")).to_have_text("There is no such sale")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("h1")).to_have_text("Made by hand")
    assert state(page) == "Lobby open"
    page.get_by_role("button", name="Open now").click()
    expect(page.locator(".state .word")).to_have_text("Open", use_inner_text=True, timeout=12_000)


def test_who_saves_second_loses_nothing_and_decides(visit: Visit, witness: Witness) -> None:
    witness.foreseen = ("412",)
    page, slug = visit("/", script=False), new_slug()
    log_in_operator(page, "/operator/sales/new")
    fill_in(page, slug)
    page.get_by_role("button", name="Publish at once").click()
    page.goto(f"/operator/sales/{slug}/edit")
    expect(page.locator("#slug")).to_have_count(0)
    page.fill("#title", "My title")

    other = page.context.new_page()
    other.goto(f"/operator/sales/{slug}/edit")
    other.fill("#title", "Their title")
    other.fill("#capacity", "77")
    other.get_by_role("button", name="Save the changes").click()
    expect(other.get_by_text("Done: changes saved")).to_be_visible()

    page.get_by_role("button", name="Save the changes").click()
    expect(page.locator("#problem")).to_contain_text("Somebody else has changed it meanwhile")
    expect(page.locator("#title")).to_have_value("My title")
    differing = page.locator(".lines tbody tr")
    expect(differing.filter(has_text="Their title")).to_contain_text("My title")
    expect(differing.filter(has_text="77")).to_contain_text("200")
    page.fill("#capacity", "77")
    page.get_by_role("button", name="Save the changes").click()
    expect(page.locator("h1")).to_have_text("My title")
    expect(page.locator("#capacity")).to_have_value("77")


def test_a_start_is_moved_and_those_who_wait_are_told(visit: Visit, witness: Witness) -> None:
    witness.foreseen = ("422",)
    page, slug = visit("/", script=False, width=390), new_slug()
    log_in_operator(page, "/operator/sales/new")
    fill_in(page, slug)
    page.get_by_role("button", name="Publish at once").click()
    page.get_by_text("Start later…").click()
    page.select_option("#later-zone", "UTC")
    page.fill("#opens_at", local(10))
    page.get_by_role("button", name="Yes, start later").click()
    expect(page.locator("#opens_at")).to_have_attribute("aria-invalid", "true")
    page.fill("#opens_at", local(90))
    page.fill("#later-en", "We start half an hour later.")
    page.get_by_role("button", name="Yes, start later").click()
    expect(page.get_by_text("Done: start moved")).to_be_visible()
    page.goto(f"/operator/sales/{slug}/edit")
    assert page.input_value("#message_en") == "We start half an hour later."
    moved = (datetime.now(UTC) + timedelta(minutes=90)).strftime("%Y-%m-%d %H:%M")
    expect(page.locator("[data-utc=opens_at]")).to_have_text(f"In UTC: {moved}")
    ends = (datetime.now(UTC) + timedelta(minutes=210)).strftime("%Y-%m-%d %H:%M")
    expect(page.locator("[data-utc=closes_at]")).to_have_text(f"In UTC: {ends}")


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
    expect(page.locator("[data-fill='slots']")).to_have_text("1", timeout=12_000)
    expect(page.locator("#chart canvas")).to_be_visible()
    assert page.evaluate("window.notLoadedAgain")


def test_without_a_stream_the_figures_are_asked_for(
    visit: Visit, demo: RunningDemo, witness: Witness
) -> None:
    witness.foreseen = ("503",)
    slug, _ = open_sale(demo, 9, capacity=1)
    page = visit("/")
    refused: list[str] = []

    def refuse(route: Route) -> None:
        if "event-stream" not in route.request.headers.get("accept", ""):
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=503)

    page.route("**/figures", refuse)
    log_in_operator(page, f"/operator/sales/{slug}")
    waiting_buyer(demo, 47, slug)
    expect(page.locator("[data-fill='slots']")).to_have_text("1", timeout=15_000)
    assert refused


def test_the_stream_ends_with_the_session(visit: Visit, demo: RunningDemo, witness: Witness) -> None:
    witness.foreseen = ("401", "ERR_INCOMPLETE_CHUNKED")
    slug, _ = open_sale(demo, 9)
    page = visit("/")
    log_in_operator(page, f"/operator/sales/{slug}")
    expect(page.locator("[data-text='leader.name']")).to_contain_text(":")
    other = page.context.new_page()
    other.goto("/operator")
    other.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/operator/login**", timeout=25_000)


def test_buttons_follow_what_another_operator_does(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 9)
    page = visit("/")
    log_in_operator(page, f"/operator/sales/{slug}")
    expect(page.get_by_role("button", name="Pause the calls")).to_be_visible()
    page.evaluate("window.notLoadedAgain = true")
    with demo.operator() as client:
        client.post(f"/api/v1/operator/sales/{slug}/actions/pause").raise_for_status()
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=12_000)
    expect(page.locator("[data-limit=paused]")).to_be_visible(timeout=12_000)
    assert page.evaluate("window.notLoadedAgain"), "the page was not loaded anew under the operator's eyes"


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_the_pause_is_always_in_reach(visit: Visit, demo: RunningDemo, width: int) -> None:
    slug, _ = open_sale(demo, 9)
    page = visit("/", width=width)
    log_in_operator(page, f"/operator/sales/{slug}")
    pause = page.get_by_role("button", name="Pause the calls")
    for place in ("0", "document.documentElement.scrollHeight"):
        page.evaluate(f"window.scrollTo(0, {place})")
        expect(pause).to_be_in_viewport(ratio=1)
    page.evaluate("window.scrollTo(0, 0)")
    expect(page.locator("[data-fill='line.waiting']")).to_be_in_viewport()
    pause.click()
    expect(page.get_by_text("Done: calls paused")).to_be_visible()


def test_units_and_shelves_are_changed_with_a_reason(
    visit: Visit, demo: RunningDemo, witness: Witness
) -> None:
    witness.foreseen = ("422",)
    slug, product = open_sale(demo, 9)
    page = visit("/", script=False, width=390)
    log_in_operator(page, f"/operator/sales/{slug}")
    page.get_by_text("Change the units").click()
    page.fill(f"#allotted-{product}", "12")
    page.fill(f"#reason-{product}", "a box was found")
    page.get_by_role("button", name="Set the units").click()
    expect(page.get_by_text("Done: units set")).to_be_visible()
    expect(page.locator("[data-stock=allotted]")).to_have_text("12")

    page.goto("/operator/stock")
    shelf = page.locator("li.panel", has=page.locator(f"#change-{product}"))
    shelf.get_by_text("Put the count right").click()
    page.fill(f"#change-{product}", "-99999999")
    page.fill(f"#reason-{product}", "broken")
    shelf.get_by_role("button").click()
    expect(page.locator(f"#change-{product}-fault")).to_be_visible()
    assert page.input_value(f"#reason-{product}") == "broken"
    page.fill(f"#change-{product}", "-1")
    page.locator("li.panel", has=page.locator(f"#change-{product}")).get_by_role("button").click()
    expect(page.get_by_text("Done: count put right")).to_be_visible()

    page.goto(f"/operator/audit?sale={slug}")
    expect(page.locator(".log li").first).to_contain_text("a box was found")
    with page.expect_download() as download:
        page.get_by_role("link", name="As a table (CSV)").click()
    assert download.value.suggested_filename == f"audit-{slug}.csv"
    assert "a box was found" in download.value.path().read_text()


def test_holds_are_lengthened_when_paying_does_not_work(
    visit: Visit, demo: RunningDemo, witness: Witness
) -> None:
    witness.foreseen = ("422",)
    slug, _ = open_sale(demo, 9)
    page = visit("/", script=False)
    log_in_operator(page, f"/operator/sales/{slug}")
    page.locator("#holds summary").click()
    page.evaluate("document.querySelectorAll('#minutes, #reason').forEach(one => one.removeAttribute('max'))")
    page.fill("#minutes", "500")
    page.fill("#reason", "the provider is down")
    page.get_by_role("button", name="Yes, lengthen all holds").click()
    expect(page.locator("#minutes-fault")).to_be_visible()
    page.fill("#minutes", "15")
    page.get_by_role("button", name="Yes, lengthen all holds").click()
    expect(page.get_by_text("Done: all holds lengthened")).to_be_visible()


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
    expect(buyer.get_by_text(re.compile("The shop paused the line at"))).to_be_visible(timeout=12_000)
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
    left = page.locator("form[action*='/actions/']").evaluate_all("forms => forms.map(form => form.action)")
    assert {action.rpartition("/")[2] for action in left} == {"announce", "extend-holds"}


def test_a_viewer_watches_and_changes_nothing(visit: Visit, witness: Witness) -> None:
    witness.foreseen = ("403",)
    page = visit("/")
    log_in_operator(page, "/operator/sales/demo", "viewer@example.test")
    expect(page.locator(".tiles").first).to_be_visible()
    assert page.locator("form[action*='/actions/']").count() == 0
    page.goto("/operator/sales/new")
    expect(page.locator("h1")).to_have_text("Your account may not do that")


def test_the_orders_of_a_sale_can_be_looked_through_and_acted_on_without_a_script(
    visit: Visit, witness: Witness, demo: RunningDemo
) -> None:
    witness.foreseen = ("422",)  # an amount that is none
    slug, product = open_sale(demo, 9)
    buyer = waiting_buyer(demo, 45, slug)
    order_id = buyer.buy(slug, {product: 1})["order_id"]
    page = visit("/", script=False)
    log_in_operator(page, f"/operator/sales/{slug}/orders")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("Paid")
    page.select_option("#state", "expired")
    page.get_by_role("button", name=re.compile("^Show")).click()
    expect(page.get_by_text("No orders here yet.")).to_be_visible()

    page.goto("/operator/orders")
    page.fill("#wanted", order_id)
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Give money back").click()
    page.get_by_label("A part of it").check()
    page.fill("#amount", "a little")
    page.fill("#reason", "a scratch")
    page.get_by_role("button", name="Give money back").click()
    expect(page.locator("#amount")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#reason")).to_have_value("a scratch")
    page.fill("#amount", "1,000")
    page.get_by_role("button", name="Give money back").click()
    expect(page.get_by_role("status")).to_have_text("The provider is asked to give the money back.")
    page.get_by_role("link", name="Begin to prepare it").click()
    page.get_by_role("button", name="Begin to prepare it").click()
    expect(page.get_by_role("status")).to_have_text("The order is in preparation.")

    def told() -> bool | None:
        buyer_sees = buyer.client.get(f"/api/v1/orders/{order_id}").json()
        return (buyer_sees["state"], buyer_sees["money"]["back"]) == ("fulfilling", 1_000) or None

    eventually(told, "the part has been given back")


def test_a_buyers_session_opens_no_operators_page(visit: Visit) -> None:
    page = visit("/")
    log_in(page, 46, "/operator")
    assert "/operator/login" in page.url
