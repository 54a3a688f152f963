"""Joining where a challenge is asked for, and without an account: with a script, without one, and by keyboard alone."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import Visit, Witness, log_in, open_sale
from tests.pages.test_for_everybody import too_wide, violations
from tests.running import RunningDemo

PAUSE_S = 20


def number_on(page: Page) -> int:
    return int(page.locator("[data-fill=number]").first.inner_text().replace(",", ""))


def assert_accessible(page: Page) -> None:
    assert violations(page) == []
    assert too_wide(page) is None


def test_the_browser_solves_the_challenge_by_itself(
    demo: RunningDemo, visit: Visit, witness: Witness
) -> None:
    slug, _ = open_sale(demo, 5, challenge=True, calls_per_minute=1, capacity=1)
    page = visit(width=390)
    log_in(page, 41, f"/sales/{slug}")
    witness.foreseen = ("403",)
    page.get_by_role("button", name="Join the line").click()
    page.wait_for_url(re.compile(f"/sales/{slug}/line"))
    assert number_on(page) == 1


@pytest.mark.parametrize(("locale", "width", "scheme"), [("en", 320, "light"), ("ko-KR", 1280, "dark")])
def test_the_page_of_the_challenge_is_for_everybody(
    demo: RunningDemo, visit: Visit, witness: Witness, locale: str, width: int, scheme: str
) -> None:
    slug, _ = open_sale(demo, 5, challenge=True)
    witness.foreseen = ("403",)
    page = visit(script=False, width=width, locale=locale, color_scheme=scheme)
    log_in(page, 42, f"/sales/{slug}")
    page.locator(f"form[action='/sales/{slug}/join'] button").click()
    assert page.locator("#pause button").is_visible()
    assert not page.locator("#solve").is_visible()
    # axe is a script, which this visitor does not run: the same page is looked at by one who does, while it cannot solve.
    scripted = visit(width=width, locale=locale, color_scheme=scheme)
    scripted.route("**/challenge", lambda _: None)
    log_in(scripted, 42, f"/sales/{slug}")
    scripted.locator(f"form[action='/sales/{slug}/join'] button").click()
    expect(scripted.locator("#solve")).to_be_visible()
    expect(scripted.locator("#pause")).to_be_hidden()
    assert_accessible(scripted)


def test_without_a_script_patience_opens_the_door(demo: RunningDemo, visit: Visit, witness: Witness) -> None:
    slug, _ = open_sale(demo, 5, challenge=True, calls_per_minute=1, capacity=1)
    witness.foreseen = ("403",)
    page = visit(script=False)
    log_in(page, 43, f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    asked = time.monotonic()
    page.get_by_role("button", name="Go on to the line").click()
    expect(page.get_by_text("Please wait")).to_be_visible()  # too early: how long is left
    page.wait_for_timeout(max(0.0, PAUSE_S + 0.5 - (time.monotonic() - asked)) * 1000)
    page.get_by_role("button", name="Go on to the line").click()
    page.wait_for_url(re.compile(f"/sales/{slug}/line"))
    assert number_on(page) == 1


def test_a_browser_that_cannot_solve_is_asked_for_patience(
    demo: RunningDemo, visit: Visit, witness: Witness
) -> None:
    slug, _ = open_sale(demo, 5, challenge=True)
    witness.foreseen = ("403", "ERR_FAILED")
    page = visit()
    page.route("**/vendor/altcha/**", lambda route: route.abort())
    log_in(page, 44, f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    button = page.get_by_role("button", name="Go on to the line")
    expect(button).to_be_visible()
    expect(button).to_be_focused()


def test_a_guest_waits_on_the_device_and_takes_the_place_along_at_log_in(
    demo: RunningDemo, visit: Visit
) -> None:
    slug, _ = open_sale(demo, 5, guests=True, calls_per_minute=1, capacity=1)
    page = visit(f"/sales/{slug}", width=320)
    page.get_by_role("link", name="Join without an account").click()
    assert_accessible(page)
    page.get_by_role("button", name="Join the line on this device").click()
    page.wait_for_url(re.compile(f"/sales/{slug}/line"))
    number = number_on(page)
    expect(page.get_by_text("You wait without an account")).to_be_visible()
    assert_accessible(page)
    second_tab = page.context.new_page()
    second_tab.goto(f"/sales/{slug}/guest")
    second_tab.get_by_role("button", name="Join the line on this device").click()
    second_tab.wait_for_url(re.compile(f"/sales/{slug}/line"))
    assert number_on(second_tab) == number
    log_in(page, 45, f"/sales/{slug}/line")
    page.wait_for_url(re.compile(f"/sales/{slug}/line"))
    assert number_on(page) == number
    expect(page.get_by_text("You wait without an account")).to_be_hidden()
    phone = visit()
    log_in(phone, 45, f"/sales/{slug}/line")
    phone.wait_for_url(re.compile(f"/sales/{slug}/line"))
    assert number_on(phone) == number, "it is the account's now, on every device"
