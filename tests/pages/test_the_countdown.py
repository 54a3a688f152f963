"""Before a sale: landing and sale page count down on the server's time, and turn by themselves when the moment has come."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.pages.conftest import Visit, log_in
from tests.running import RunningDemo, eventually


def coming_sale(demo: RunningDemo, lobby_in_s: float, opens_in_s: float) -> str:
    """A sale whose lobby and start are still to come, known to the gateway: its slug."""
    slug, now = f"soon-{uuid.uuid4().hex[:8]}", datetime.now(UTC)
    with demo.operator() as client:
        product = client.get("/api/v1/sales/demo").json()["items"][0]["product_id"]
        body = {
            "slug": slug,
            "title": slug,
            "mode": "fifo",
            "lobby_opens_at": (now + timedelta(seconds=lobby_in_s)).isoformat(),
            "opens_at": (now + timedelta(seconds=opens_in_s)).isoformat(),
            "closes_at": (now + timedelta(seconds=opens_in_s + 7_200)).isoformat(),
            "calls_per_minute": 600,
            "capacity": 5,
            "items": [{"product_id": product, "allotted": 3, "limit_per_buyer": 1}],
        }
        assert client.post("/api/v1/operator/sales", json=body).status_code == 201
        eventually(lambda: client.get(f"/sales/{slug}").status_code == 200 or None, f"{slug} is known")
    return slug


def test_a_sale_opens_before_the_eyes_of_those_who_look(visit: Visit, demo: RunningDemo) -> None:
    # The lobby is announced while we log in, and opens while we look.
    slug = coming_sale(demo, 6, 14)
    page = visit("/", width=390)
    log_in(page, 50, f"/sales/{slug}")
    page.evaluate("window.notLoadedAgain = true")
    join = page.get_by_role("button", name="Join the line")
    expect(join).to_be_visible(timeout=25_000)
    assert page.evaluate("window.notLoadedAgain"), "the page was brought up to date in place"
    join.click()
    expect(page.locator("#line")).to_have_attribute("data-face", "called", timeout=45_000)


def test_a_countdown_of_days_is_right_on_a_device_whose_clock_is_not(visit: Visit, demo: RunningDemo) -> None:
    slug = coming_sale(demo, 2 * 86_400 + 3_600, 3 * 86_400)
    page = visit("/", locale="ko")
    page.add_init_script("const now = Date.now.bind(Date); Date.now = () => now() + 86_400_000;")
    for path in ("/", f"/sales/{slug}"):
        page.goto(path)
        count = page.locator("[data-countdown]:visible").filter(has_text="일")
        for _ in range(40):  # public pages are a second old at most, and so may not know the sale yet
            if count.count():
                break
            page.wait_for_timeout(250)
            page.reload()
        shown = count.first.inner_text()
        assert shown.startswith(("2일 1:00:", "2일 0:59:")), shown
        expect(count.first).not_to_have_text(shown)
