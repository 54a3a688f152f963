"""An operator rehearses a sale in the browser, with and without a script, and sets what is recommended by hand."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Visit, Witness, log_in_operator
from tests.pages.test_for_everybody import too_wide, violations
from tests.running import RunningDemo

# A rehearsal takes its time, the more on a machine that is busy.
PATIENCE_MS = 60_000


@pytest.mark.parametrize(
    ("width", "scheme", "locale", "words"),
    [(320, "light", "ko", ("예행연습하기", "추천 설정")), (1280, "dark", "en", ("Rehearse", "Recommended"))],
)
def test_a_rehearsal_is_shown_on_every_screen_with_a_chart_and_keeps_what_was_typed(
    visit: Visit, witness: Witness, width: int, scheme: str, locale: str, words: tuple[str, str]
) -> None:
    witness.foreseen = ("422",)
    page = visit("/", width=width, color_scheme=scheme, locale=locale)
    page.set_default_timeout(PATIENCE_MS)
    log_in_operator(page, "/operator/sales/demo")
    page.locator("a[href$='/rehearsal']").click()
    page.fill("#crowd", "300")
    page.locator("#rehearsal-form details summary").click()
    page.fill("#payment_p90_s", "1")
    page.fill("#lasts_s", "90")
    page.fill("#stock", "20")
    page.get_by_role("button", name=words[0], exact=True).click()
    expect(page.locator("#payment_p90_s")).to_have_attribute("aria-invalid", "true")
    page.fill("#payment_p90_s", "90")
    page.get_by_role("button", name=words[0], exact=True).click()

    expect(page.get_by_role("heading", name=words[1])).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#crowd")).to_have_value("300")
    assert violations(page) == []
    assert too_wide(page) is None


def test_what_is_recommended_is_set_by_hand_and_without_a_script(demo: RunningDemo, visit: Visit) -> None:
    slug, _ = demo.open_sale(5, calls_per_minute=31)
    page = visit("/", script=False)
    page.set_default_timeout(PATIENCE_MS)
    log_in_operator(page, f"/operator/sales/{slug}/rehearsal")
    expect(page.locator("#calls_per_minute")).to_have_value("31")
    page.fill("#crowd", "50")
    page.locator("#rehearsal-form details summary").click()
    page.fill("#lasts_s", "60")
    page.get_by_role("button", name="Rehearse", exact=True).click()
    expect(page.get_by_role("heading", name="Recommended")).to_be_visible(timeout=PATIENCE_MS)
    recommended = page.input_value("#set-calls_per_minute")
    beside = page.context.new_page()
    beside.goto(f"/operator/sales/{slug}")
    expect(beside.locator("#calls_per_minute")).to_have_value("31")  # nothing was set by rehearsing

    page.locator("form[action$=set-rate] button").click()
    expect(page.locator("#calls_per_minute")).to_have_value(recommended)
