"""`make pictures`: the README's pictures, taken anew from a running demo, so that they show the pages as they are."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.pages.conftest import ARGUMENTS, chromium, log_in, log_in_operator
from tests.running import RunningDemo

FOLDER = Path(__file__).parents[2] / "docs/pictures"
DESKTOP, TALL, PHONE = (
    {"width": 1200, "height": 800},
    {"width": 1200, "height": 905},
    {"width": 390, "height": 800},
)
CROWD = range(2, 30)
BUYING = range(2, 20)
ME = 1


def main() -> None:
    """Start a demo, fill its line, and take every picture."""
    folder = Path(tempfile.mkdtemp(prefix="fc-"))
    demo = RunningDemo(folder / "demo").start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            take_all(browser, demo)
            browser.close()
    finally:
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)


def take_all(browser: Browser, demo: RunningDemo) -> None:
    """Home and operator on a desk; line and turn on a phone."""
    home = _page(browser, demo, DESKTOP)
    home.goto("/")
    _take(home, "home")

    slug, product = demo.open_sale(
        40, calls_per_minute=12, capacity=4, title="달항아리 · Moon jars from Icheon"
    )
    desk = _page(browser, demo, TALL)
    log_in_operator(desk, f"/operator/sales/{slug}")
    expect(desk.locator("canvas")).to_be_visible()
    crowd = {number: demo.buyer(number) for number in CROWD}
    for buyer in crowd.values():
        buyer.join(slug)
    phone = _page(browser, demo, PHONE, color_scheme="dark")
    log_in(phone, ME, f"/sales/{slug}")
    phone.get_by_role("button", name="Join the line").click()
    expect(phone.locator("[data-fill=ahead]")).to_be_visible()
    _take(phone, "waiting")
    for number in BUYING:  # so that the chart has a story of a minute and a half
        crowd[number].buy(slug, {product: 1})
    _take(desk, "operator")

    other, _ = demo.open_sale(40, title="달항아리 · Moon jars from Icheon")
    turn = _page(browser, demo, PHONE)
    log_in(turn, ME, f"/sales/{other}")
    turn.get_by_role("button", name="Join the line").click()
    expect(turn.locator("#line")).to_have_attribute("data-face", "called", timeout=15_000)
    _take(turn, "turn")


def _page(browser: Browser, demo: RunningDemo, viewport: dict[str, int], **how: str) -> Page:
    context = browser.new_context(
        base_url=demo.url,
        viewport={"width": viewport["width"], "height": viewport["height"]},
        locale="en",
        reduced_motion="reduce",
        device_scale_factor=1.5 if viewport is PHONE else 1.0,
        **how,  # type: ignore[arg-type]
    )
    return context.new_page()


def _take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png")
    print(f"docs/pictures/{name}.png")


if __name__ == "__main__":
    main()
