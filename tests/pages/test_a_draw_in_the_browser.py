"""A draw as a buyer lives it: the receipt in the lobby, the number after the opening, and the proof in the own browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.pages.conftest import Visit, log_in
from tests.running import RunningDemo, eventually


def a_lobby(demo: RunningDemo) -> str:
    """A draw of its own, with three buyers in its lobby."""
    later = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    slug = ""
    with demo.operator() as operator:
        product = str(operator.get("/api/v1/sales/demo").json()["items"][0]["product_id"])
        body = {
            "slug": (slug := f"draw-{datetime.now(UTC):%H%M%S%f}"), "title": "A draw", "mode": "draw",
            "lobby_opens_at": datetime.now(UTC).isoformat(), "opens_at": later,
            "closes_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "calls_per_minute": 1, "capacity": 5,
            "items": [{"product_id": product, "allotted": 10, "limit_per_buyer": 1}],
        }  # fmt: skip
        answer = operator.post("/api/v1/operator/sales", json=body)
        assert answer.status_code == 201, answer.text
    buyers = [demo.buyer(number) for number in (41, 42, 43)]

    def joined() -> bool:
        return all(
            buyer.client.put(f"/api/v1/sales/{slug}/ticket").status_code in (200, 201) for buyer in buyers
        )

    eventually(joined, "the lobby takes joins", 15)
    return slug


def test_a_buyer_checks_the_own_place_in_the_browser(demo: RunningDemo, visit: Visit) -> None:
    slug = a_lobby(demo)
    page = visit(width=390)
    log_in(page, 44, f"/sales/{slug}")
    promised = page.locator("#drawn code").inner_text()
    page.get_by_role("button", name="Join").first.click()
    receipt = page.locator("#draw")
    commitment = page.request.get(f"/api/v1/sales/{slug}").json()["draw"]["commitment"]
    expect(receipt).to_contain_text(commitment)
    assert promised == commitment
    expect(page.locator("[data-fill=position]")).to_have_text("–")
    page.get_by_role("button", name="Check my place").click()
    expect(page.locator("#draw-verdict")).to_contain_text("not taken place yet")

    with demo.operator() as operator:
        assert operator.post(f"/api/v1/operator/sales/{slug}/actions/open").status_code == 200
    public = eventually(
        lambda: (found := page.request.get(f"/api/v1/sales/{slug}/draw").json()).get("seed") and found,
        "the seed is public",
        20,
    )
    expect(page.locator("[data-fill=number]")).to_have_text(re.compile(r"^[1-4]$"), timeout=30_000)
    number = page.locator("[data-fill=number]").inner_text()
    page.get_by_role("button", name="Check my place").click()
    verdict = page.locator("#draw-verdict")
    expect(verdict).to_have_attribute("data-verdict", "right")
    expect(verdict).to_contain_text(f"number {number} of 4 is yours")

    page.route("**/draw/list.txt", lambda route: route.fulfill(body="AAAAAAAAAAAAAA\n" * public["size"]))
    page.get_by_role("button", name="Check my place").click()
    expect(verdict).to_have_attribute("data-verdict", "badList")
    page.route("**/draw", lambda route: route.fulfill(json=public | {"seed": "00" * 32}))
    page.get_by_role("button", name="Check my place").click()
    expect(verdict).to_have_attribute("data-verdict", "badSeed")
    said = demo.verb("verify-draw", f"{demo.url}/sales/{slug}")
    assert said.returncode == 0, said.stderr
