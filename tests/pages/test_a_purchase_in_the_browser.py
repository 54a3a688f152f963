"""The whole purchase in a real browser through every real process, with and without a script."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta

from playwright.sync_api import Page, expect

from tests.pages.conftest import Visit, called_buyer, log_in, open_sale
from tests.running import RunningDemo, eventually


def look_again_until(page: Page, text: str, timeout_s: float = 12) -> None:
    """Without a script: load the page anew until its headline says `text`."""

    def there() -> bool | None:
        page.reload()
        return text in page.locator("h1").inner_text() or None

    eventually(there, f"the headline says {text!r}", timeout_s)


def test_a_newcomer_signs_up_waits_and_buys(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 5)
    email = f"new-{uuid.uuid4().hex[:8]}@example.test"
    page = visit(f"/sales/{slug}")
    page.get_by_role("link", name="Create an account").click()
    page.fill("#email", email)
    page.fill("#password", "one long enough password")
    page.fill("#name", "Newcomer")
    page.get_by_role("button", name="Create my account").click()
    expect(page.locator("h1")).to_have_text("Confirm your e-mail", use_inner_text=True)
    expect(page.locator("#email")).to_have_value(email)

    mails = page.context.new_page()
    link = mails.locator("article", has_text=email).first.get_by_role("link")

    def mail_is_there() -> bool | None:
        mails.goto("/demo/mail")
        return link.count() > 0 or None

    eventually(mail_is_there, "the mail with the code")
    address = link.first.get_attribute("href") or ""
    assert "#" in address, "a mail's link carries the code in its fragment"
    mails.goto(address)
    expect(mails.locator("#code")).not_to_have_value("")
    assert "#" not in mails.url, "the code is taken out of the address at once"
    mails.get_by_role("button", name="Confirm").click()
    expect(mails.locator("h1")).to_have_text("Log in", use_inner_text=True)

    page.goto(f"/login?next=/sales/{slug}")
    page.fill("#email", email)
    page.fill("#password", "one long enough password")
    page.locator("main").get_by_role("button", name="Log in").click()
    assert page.url.endswith(f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()

    expect(page.locator("h1")).to_have_text("It is your turn", use_inner_text=True)
    assert page.title().startswith("● Your turn, ")
    page.get_by_role("button", name="Start checkout").click()
    expect(page.locator("h1")).to_have_text("Checkout", use_inner_text=True)
    page.locator("select").first.select_option("1")
    page.get_by_role("button", name="Place my order").click()

    expect(page.locator("h1")).to_have_text("Held for you. Please pay now", use_inner_text=True)
    page.get_by_role("button", name=re.compile("^Pay now")).click()
    page.wait_for_url(re.compile(rf":{demo.port + 1}/"))
    page.locator("button[value=approve], input[value=approve]").first.click()
    page.wait_for_url(re.compile("/orders/"))
    expect(page.locator("h1")).to_have_text("Paid. It is yours", use_inner_text=True)
    page.goto("/orders")
    expect(page.locator(".order-list .badge")).to_have_text("Paid")


def test_the_purchase_goes_through_without_a_script(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 5)
    page = visit("/", script=False)
    log_in(page, 11, f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    assert page.locator("noscript meta[http-equiv=refresh]").count() == 1
    look_again_until(page, "It is your turn")
    page.get_by_role("button", name="Start checkout").click()
    page.locator("select").first.select_option("2")
    page.get_by_role("button", name="Place my order").click()
    look_again_until(page, "Held for you")

    page.get_by_role("button", name=re.compile("^Pay now")).click()
    page.locator("button[value=decline], input[value=decline]").first.click()
    page.wait_for_url(re.compile("/orders/"))
    look_again_until(page, "Held for you")
    expect(page.get_by_text("The last payment did not go through.")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Pay again")).click()
    page.locator("button[value=approve], input[value=approve]").first.click()
    page.wait_for_url(re.compile("/orders/"))
    look_again_until(page, "Paid. It is yours")


def test_an_order_is_cancelled_before_payment(visit: Visit, demo: RunningDemo) -> None:
    slug, product = open_sale(demo, 5)
    buyer = called_buyer(demo, 12, slug)
    order_id = buyer.order(slug, buyer.claim(slug), {product: 1})["order_id"]
    buyer.await_order(order_id, "reserved")

    page = visit("/", width=390)
    log_in(page, 12, f"/orders/{order_id}")
    clock = page.locator("[data-countdown]")
    ends = datetime.fromisoformat(clock.get_attribute("data-countdown") or "")
    longer = {"minutes": 30, "reason": "paying does not work"}
    with demo.operator() as operator:
        path = f"/api/v1/operator/sales/{slug}/actions/extend-holds"
        assert operator.post(path, json=longer).status_code == 200
    page.evaluate("window.dispatchEvent(new Event('online'))")  # it looks again now, not in ten seconds
    expect(page.get_by_text("You have more time to pay now.")).to_be_visible()
    now_ends = datetime.fromisoformat(clock.get_attribute("data-countdown") or "")
    assert now_ends - ends == timedelta(minutes=30)
    page.get_by_text("Cancel this order").click()
    page.get_by_role("button", name="Yes, cancel the order").click()
    expect(page.locator("h1")).to_have_text("This order is cancelled", use_inner_text=True)
    eventually(lambda: buyer.ticket(slug)["state"] == "done" or None, "the room has heard of it")
    page.get_by_role("button", name="Join the line again").click()
    expect(page.locator("h1")).to_have_text("It is your turn", use_inner_text=True)


def test_a_turn_on_one_device_is_a_checkout_on_another(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 5)
    called_buyer(demo, 13, slug).claim(slug)

    page = visit("/")
    log_in(page, 13, f"/sales/{slug}/checkout")
    expect(page.locator("h1")).to_have_text("Checkout", use_inner_text=True)
    expect(page.get_by_role("button", name="Place my order")).to_be_visible()


def test_the_cart_fills_in_the_checkout(visit: Visit, demo: RunningDemo) -> None:
    slug, product = open_sale(demo, 5)
    page = visit("/")
    log_in(page, 14, "/")
    page.locator(f"form[action='/cart/items/{product}'] button").click()
    page.fill(f"#quantity-{product}", "2")
    page.get_by_role("button", name=re.compile("^Change")).click()
    page.goto(f"/sales/{slug}")
    page.get_by_role("button", name="Join the line").click()
    page.get_by_role("button", name="Start checkout").click()
    expect(page.locator(f"#quantity-{product}")).to_have_value("2")


def test_whoever_comes_back_from_paying_need_not_wait_for_a_callback_that_never_comes(
    demo: RunningDemo,
) -> None:
    slug, product = demo.open_sale(2)
    buyer, stranger = demo.buyer(21), demo.buyer(22)
    buyer.join(slug)
    buyer.await_call(slug)
    order = buyer.order(slug, buyer.claim(slug), {product: 1})["order_id"]
    buyer.await_order(order, "reserved")
    buyer.pay(order, "silent")
    assert stranger.client.get(f"/pay/return/simulator?order_id={order}").status_code == 303
    assert buyer.await_order(order, "paying", "paid")["state"] == "paying", (
        "nobody asks about another's order"
    )
    back = buyer.client.get(f"/pay/return/simulator?order_id={order}")
    assert (back.status_code, back.headers["location"]) == (303, f"/orders/{order}")
    assert buyer.await_order(order, "paying", "paid")["state"] == "paid"


def test_return_urls_stay_on_this_site(visit: Visit) -> None:
    for wanted in (
        "https://elsewhere.test/",
        "//elsewhere.test/",
        "/\\elsewhere.test",
        "javascript:alert(1)",
    ):
        page = visit("/")
        page.goto("/login?" + "next=" + wanted.replace("\\", "%5C"))
        assert page.locator("input[name=next]").get_attribute("value") == "/"
