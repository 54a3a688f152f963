"""Every page for everybody: no violation that axe finds, nothing cut off at 320 px, Korean letters that are letters, and little to load."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response

from tests.pages.conftest import Visit, Witness, called_buyer, log_in, log_in_operator, open_sale
from tests.running import RunningDemo

STRANGERS = ["/", "/sales/demo", "/login", "/signup", "/verify", "/reset", "/reset?step=sent", "/demo/mail"]
BUYERS = ["/", "/sales/demo", "/orders", "/cart", "/me", "/nowhere"]
OPERATORS = ["/operator", "/operator/sales/new", "/operator/stock", "/operator/audit", "/operator/orders"]
OPERATORS += ["/operator/stuck", "/operator/books?run=yes", "/operator/sales/demo/fairness"]
OPERATORS += [
    f"/operator/sales/demo{more}" for more in ("", "/edit", "/preview", "/preview/line", "/rehearsal")
]

FIRST_VIEW_BYTES = 60_000


def violations(page: Page) -> list[str]:
    """What axe finds, as lines that say where."""
    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found]


def too_wide(page: Page) -> str | None:
    """The address of a page that has to be scrolled sideways."""
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return urlsplit(page.url).path if wide else None


def check(page: Page, paths: list[str]) -> list[str]:
    """Everything that is wrong with these pages."""
    wrong = []
    for path in paths:
        page.goto(path)
        wrong += violations(page)
        if wide := too_wide(page):
            wrong.append(f"{wide} is wider than the screen")
    return wrong


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_pages_for_strangers_are_accessible(visit: Visit, width: int, scheme: str) -> None:
    page = visit("/", width=width, color_scheme=scheme)
    assert check(page, STRANGERS) == []


@pytest.mark.parametrize(("width", "scheme", "locale"), [(320, "dark", "ko"), (1280, "light", "en")])
def test_pages_for_buyers_are_accessible(
    visit: Visit, witness: Witness, width: int, scheme: str, locale: str
) -> None:
    witness.foreseen = ("404",)  # the page about a page that does not exist
    page = visit("/", width=width, color_scheme=scheme, locale=locale)
    log_in(page, 21)
    assert check(page, BUYERS) == []


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_pages_for_operators_are_accessible(visit: Visit, width: int, scheme: str) -> None:
    page = visit("/", width=width, color_scheme=scheme)
    log_in_operator(page)
    assert check(page, OPERATORS) == []


@pytest.mark.parametrize(("width", "scheme", "locale"), [(320, "light", "ko"), (1280, "dark", "en")])
def test_the_way_from_the_line_to_the_order_is_accessible(
    visit: Visit, demo: RunningDemo, width: int, scheme: str, locale: str
) -> None:
    number = 22 if width == 320 else 23
    slug, product = open_sale(demo, 5)
    buyer = called_buyer(demo, number, slug)
    page = visit("/", width=width, color_scheme=scheme, locale=locale)
    log_in(page, number, f"/sales/{slug}")
    wrong = check(page, [f"/sales/{slug}/line"])
    admission = buyer.claim(slug)
    wrong += check(page, [f"/sales/{slug}/line", f"/sales/{slug}/checkout"])
    order_id = buyer.order(slug, admission, {product: 1})["order_id"]
    buyer.await_order(order_id, "reserved")
    wrong += check(page, [f"/orders/{order_id}"])
    buyer.pay(order_id)
    buyer.await_order(order_id, "paid")
    wrong += check(page, [f"/orders/{order_id}", "/orders"])
    log_in_operator(page)
    wrong += check(page, [f"/operator/orders/{order_id}", f"/operator/orders/{order_id}/do/refund"])
    assert wrong == []


def test_korean_words_are_drawn_by_a_korean_font(visit: Visit) -> None:
    page = visit("/", locale="ko-KR")
    assert page.locator("html").get_attribute("lang") == "ko"
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    heading = session.send("DOM.querySelector", {"nodeId": root, "selector": "h1"})["nodeId"]
    fonts = session.send("CSS.getPlatformFontsForNode", {"nodeId": heading})["fonts"]
    assert fonts
    known = ("Nanum", "Noto Sans KR", "Noto Sans CJK", "Pretendard", "Apple SD", "Malgun")
    assert all(any(name in font["familyName"] for name in known) for font in fonts), fonts


def test_the_language_can_be_chosen_and_stays(visit: Visit) -> None:
    page = visit("/sales/demo")
    page.get_by_role("link", name="한국어").click()
    assert urlsplit(page.url).path == "/sales/demo"
    assert page.locator("html").get_attribute("lang") == "ko"
    page.goto("/login")
    assert page.locator("h1").inner_text() == "로그인"


def test_a_first_view_loads_little(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 5)
    called_buyer(demo, 24, slug)
    page = visit("/")
    log_in(page, 24)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    for path in ("/", "/sales/demo", f"/sales/{slug}/line"):
        sizes.clear()
        page.goto(path, wait_until="networkidle")
        assert len(sizes) >= 5, "page, two style sheets and two modules at least"
        assert sum(sizes) < FIRST_VIEW_BYTES, (path, sizes)


def test_strangers_get_public_pages_without_a_cookie(visit: Visit) -> None:
    page = visit("/")
    for path in ("/", "/sales/demo"):
        answer = page.goto(path)
        assert isinstance(answer, Response)
        headers = answer.all_headers()
        assert "set-cookie" not in headers
        assert headers["cache-control"] == "public, max-age=1"
