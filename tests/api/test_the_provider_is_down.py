"""The payment provider does not answer: nobody is led to it, those who wait are told why, and it ends by itself."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY

import pytest

from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.rules import ProviderRefused, ProviderUnavailable, Report
from tests.api.conftest import House, books_of, problem
from tests.till import API_KEY, SECRET
from workers.provider_health import Counted, ProviderHealth, probe


async def test_calls_that_fail_are_counted_for_all_and_held_against_the_provider(house: House) -> None:
    slug, buyer, operator = await house.sale(), await house.buyer(), await house.operator()
    order_id = await house.reserved(buyer, slug)
    health = ProviderHealth(house.services.redis_sync, ["simulator"])  # as the controller's process has it
    path, figures = f"/orders/{order_id}/payment", f"/operator/sales/{slug}/figures"
    assert not probe(house.runtime.redis, house.runtime.providers)  # nothing has failed, so nobody asks
    for attempt in range(3):
        assert not health.down()
        answer = await buyer.ask(
            "POST", path, headers={"Idempotency-Key": f"attempt-number-{attempt}"}, json={}
        )
        problem(answer, 503, "provider_unavailable")
    assert health.down()
    told = (await operator.ask("GET", figures)).json()["providers"]
    assert told == [{"name": "simulator", "calls": 3, "failed": 3, "down": True}]
    assert probe(house.runtime.redis, house.runtime.providers)  # another process asks, in vain
    told = (await operator.ask("GET", figures)).json()["providers"]
    assert told == [{"name": "simulator", "calls": 4, "failed": 4, "down": True}]


async def test_all_sales_of_a_controller_hear_that_paying_does_not_work_however_many_ask_at_once(
    house: House,
) -> None:
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            house.runtime.providers["simulator"].fetch("a-payment", None)
    with ThreadPoolExecutor(2) as threads:
        books = books_of(house, threads)
        assert await asyncio.gather(*(books.hold() for _ in range(20))) == ["provider_down"] * 20


async def test_while_paying_does_not_work_nobody_is_called_and_all_are_told_why(house: House) -> None:
    slug, buyer, waiting = await house.sale(), await house.buyer(), await house.buyer()
    order_id = await house.reserved(buyer, slug)
    await waiting.ask("PUT", f"/sales/{slug}/ticket")
    for _ in range(2):
        reply = await house.tick(slug, hold="provider_down")
        assert (reply.calls, reply.limit, reply.gate) == (0, "provider_down", "open")
    await house.services.snapshot.renew()
    line = (await house.client.get(f"/api/v1/sales/{slug}/line")).json()
    assert (line["phase"], line["hold"]) == ("open", {"reason": "provider_down", "since": ANY})
    place = (await waiting.ask("GET", f"/sales/{slug}/ticket")).json()
    assert place["state"] == "waiting"
    assert place["estimate"] == {
        "low_s": None,
        "high_s": None,
        "reason": {"code": "provider_down", "at": line["hold"]["since"]},
    }
    for path, person, said in (
        (f"/sales/{slug}/line", waiting, ("Paying does not work just now", "지금은 결제가 되지 않아")),
        (
            f"/orders/{order_id}",
            buyer,
            ("The payment provider does not answer just now", "지금은 결제사가 응답하지"),
        ),
    ):
        for language, words in zip(("en", "ko"), said, strict=True):
            headers = {"Authorization": f"Bearer {person.token}", "Accept-Language": language}
            assert words in (await house.client.get(path, headers=headers)).text, path
    assert (await house.tick(slug)).calls == 1
    await house.services.snapshot.renew()
    assert "hold" not in (await house.client.get(f"/api/v1/sales/{slug}/line")).json()


class Unwilling(SimulatorProvider):
    """Answers that it will not."""

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report | None:
        raise ProviderRefused(f"not for {payment_id} or {provider_ref}")


async def test_a_no_is_an_answer_and_one_way_to_pay_is_enough(house: House) -> None:
    redis = house.services.redis_sync
    unwilling = Counted(Unwilling("http://127.0.0.1:9", API_KEY, [SECRET]), redis)
    for _ in range(3):
        with pytest.raises(ProviderRefused):
            unwilling.fetch("somebody", None)
    assert not ProviderHealth(redis, ["simulator"]).down()
    for _ in range(4):
        with pytest.raises(ProviderUnavailable):
            house.services.providers["simulator"].fetch("somebody", None)
    assert ProviderHealth(redis, ["simulator"]).down()
    assert not ProviderHealth(redis, ["simulator", "another"]).down()
    assert not ProviderHealth(redis, []).down()  # nothing costs money here
