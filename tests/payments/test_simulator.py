"""The payment stand-in by itself: its page, its API, its callbacks on good days and bad ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from shop.payments.providers.simulator import SimulatorProvider
from tests.payments.simulator_process import Shop, Simulator, Taken, press
from tests.payments.test_provider_conformance import AMOUNT, asked
from tests.till import API_KEY, provider_at


def kinds(taken: list[Taken]) -> list[str]:
    return [each.kind.removeprefix("payment.") for each in taken]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("approve", ["succeeded"]),
        ("decline", ["failed"]),
        ("slow", ["pending", "succeeded"]),
        ("duplicate", ["succeeded", "succeeded", "succeeded"]),
        ("reordered", ["succeeded", "pending", "failed"]),
        ("wrong_amount", ["succeeded"]),
    ],
)
def test_each_outcome_tells_the_shop_what_it_says(
    provider: SimulatorProvider, shop: Shop, outcome: str, told: list[str]
) -> None:
    request = asked()
    press(provider.start(request).checkout_url, outcome)
    taken = shop.wait_for(request.payment_id, len(told))
    assert kinds(taken) == told
    if outcome == "duplicate":
        first, again, other = (each.event_id for each in taken)
        assert first == again != other
    if outcome == "wrong_amount":
        assert taken[0].document["data"]["amount"] != AMOUNT


def test_a_silent_payment_is_captured_and_nobody_is_told(provider: SimulatorProvider, shop: Shop) -> None:
    silent, spoken = asked(), asked()
    press(provider.start(silent).checkout_url, "silent")
    press(provider.start(spoken).checkout_url, "approve")
    shop.wait_for(spoken.payment_id, 1)
    assert shop.about(silent.payment_id) == []
    report = provider.fetch(silent.payment_id, None)
    assert report is not None
    assert (report.fact, report.amount) == ("succeeded", AMOUNT)


def test_a_late_payment_succeeds_although_it_was_cancelled(provider: SimulatorProvider, shop: Shop) -> None:
    request = asked()
    press(provider.start(request).checkout_url, "late")
    # Each callback travels on its own: two at once may arrive in any order.
    shop.wait_for(request.payment_id, 1)
    cancelled = provider.cancel(request.payment_id, None)
    assert cancelled is not None
    assert cancelled.fact == "cancelled"
    assert kinds(shop.wait_for(request.payment_id, 3)) == ["pending", "cancelled", "succeeded"]


def test_a_slow_payment_that_is_cancelled_in_time_takes_no_money(
    provider: SimulatorProvider, shop: Shop
) -> None:
    request = asked()
    press(provider.start(request).checkout_url, "slow")
    shop.wait_for(request.payment_id, 1)
    provider.cancel(request.payment_id, None)
    witness = asked()
    press(provider.start(witness).checkout_url, "slow")
    shop.wait_for(witness.payment_id, 2)
    assert kinds(shop.about(request.payment_id)) == ["pending", "cancelled"]


def test_a_callback_that_is_refused_comes_again_with_its_id_and_a_fresh_signature(
    provider: SimulatorProvider, shop: Shop
) -> None:
    refusals = iter([503, 401, 500])
    shop.answer = lambda _taken: next(refusals, 200)
    request = asked()
    press(provider.start(request).checkout_url, "approve")
    taken = shop.wait_for(request.payment_id, 4)
    assert len({each.event_id for each in taken}) == 1
    assert len({each.body for each in taken}) == 1
    for each in taken:
        provider.read_callback(each.headers, each.body, datetime.now(UTC))


def test_what_was_not_delivered_survives_a_power_cut(tmp_path: Path, shop: Shop) -> None:
    shop.answer = lambda _taken: 503
    simulator = Simulator(tmp_path, shop.url).start()
    try:
        adapter = provider_at(simulator.url)
        request, late = asked(), asked()
        press(adapter.start(request).checkout_url, "approve")
        press(adapter.start(late).checkout_url, "slow")
        first = shop.wait_for(request.payment_id, 1)[0].event_id
        simulator.kill()
        adapter.close()
        shop.taken.clear()
        shop.answer = lambda _taken: 200
        simulator.start()
        assert shop.wait_for(request.payment_id, 1)[0].event_id == first
        assert sorted(kinds(shop.wait_for(late.payment_id, 2))) == ["pending", "succeeded"]
    finally:
        simulator.kill()


# ---------------------------------------------------------------- the page


def test_the_pay_page_needs_no_script_and_shows_amount_and_merchant(provider: SimulatorProvider) -> None:
    opened = provider.start(asked())
    page = httpx.get(opened.checkout_url, trust_env=False)
    assert page.status_code == 200
    assert "₩42,000" in page.text
    assert "firstcome demo shop" in page.text
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:8000" in policy
    for outcome in ("approve", "decline", "slow", "duplicate", "late", "reordered", "wrong_amount", "silent"):
        assert f'value="{outcome}"' in page.text


def test_the_pay_page_speaks_korean_to_korean_browsers(provider: SimulatorProvider) -> None:
    opened = provider.start(asked())
    korean = httpx.get(
        opened.checkout_url, headers={"accept-language": "ko-KR,ko;q=0.9,en;q=0.8"}, trust_env=False
    )
    assert '<html lang="ko">' in korean.text
    assert "결제" in korean.text


def test_after_the_choice_the_browser_returns_and_the_page_offers_no_second_one(
    provider: SimulatorProvider, shop: Shop
) -> None:
    request = asked()
    opened = provider.start(request)
    answer = httpx.post(opened.checkout_url, data={"outcome": "decline"}, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (303, request.return_url)
    again = httpx.post(opened.checkout_url, data={"outcome": "approve"}, trust_env=False)
    assert again.headers["location"] == request.return_url
    page = httpx.get(opened.checkout_url, trust_env=False).text
    assert "<form" not in page
    assert "declined" in page
    assert kinds(shop.wait_for(request.payment_id, 1)) == ["failed"]


@pytest.mark.parametrize(
    "form", [{}, {"outcome": ""}, {"outcome": "steal"}, {"outcome": ["approve", "decline"]}, {"other": "x"}]
)
def test_an_outcome_that_is_not_offered_is_refused(provider: SimulatorProvider, form: dict[str, Any]) -> None:
    request = asked()
    opened = provider.start(request)
    answer = httpx.post(opened.checkout_url, data=form, trust_env=False)
    assert answer.status_code == 400
    report = provider.fetch(request.payment_id, None)
    assert report is not None
    assert report.fact == "pending"


# ---------------------------------------------------------------- the API

ORDER = {
    "reference": "api-1",
    "amount": 100,
    "currency": "KRW",
    "return_url": "http://127.0.0.1:8000/back",
    "expires_at": "2030-01-01T00:00:00Z",
}


def call(simulator: Simulator, body: Any, key: str | None = "k", api_key: str = API_KEY) -> httpx.Response:
    headers = {"authorization": f"Bearer {api_key}"} | ({} if key is None else {"idempotency-key": key})
    return httpx.post(f"{simulator.url}/v1/payments", json=body, headers=headers, trust_env=False)


def test_the_api_asks_for_its_key_and_an_idempotency_key(simulator: Simulator) -> None:
    assert call(simulator, ORDER, api_key="wrong").status_code == 401
    assert call(simulator, ORDER, key=None).status_code == 400
    assert httpx.get(f"{simulator.url}/v1/references/api-1", trust_env=False).status_code == 401


def test_the_same_key_gives_the_same_answer_and_another_request_under_it_is_refused(
    simulator: Simulator,
) -> None:
    first, again = call(simulator, ORDER, "same"), call(simulator, ORDER, "same")
    assert (first.status_code, first.content) == (201, again.content)
    assert call(simulator, {**ORDER, "amount": 101}, "same").status_code == 422


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": "lots"},
        {"amount": 2**60},
        {"currency": "won"},
        {"return_url": "javascript:alert(1)"},
        {"return_url": "http:///nowhere"},
        {"return_url": "http://a/\r\nx: y"},
        {"expires_at": "soon"},
        {"extra": 1},
        {"reference": "../x"},
    ],
)
def test_the_api_refuses_what_makes_no_sense(simulator: Simulator, change: dict[str, Any]) -> None:
    assert call(simulator, {**ORDER, **change}, f"bad {change}").status_code == 400
