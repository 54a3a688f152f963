"""The payment provider is silent and is started again: the line holds while paying does not work, and goes on by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.running import Buyer, RunningDemo, eventually


def refused(buyer: Buyer, order_id: str, key: str) -> int:
    """A payment is started; the status of the answer."""
    answer = buyer.client.post(
        f"/api/v1/orders/{order_id}/payment", headers={"Idempotency-Key": key}, json={}
    )
    return answer.status_code


def test_the_line_holds_while_the_provider_is_silent_and_goes_on_when_it_is_back(demo: RunningDemo) -> None:
    slug, product = demo.open_sale(9)
    inside, newcomer = [demo.buyer(number) for number in (31, 32, 33)], demo.buyer(34)
    orders = []
    for buyer in inside:
        buyer.join(slug)
        buyer.await_call(slug)
        accepted = buyer.order(slug, buyer.claim(slug), {product: 1})
        orders.append(buyer.await_order(accepted["order_id"], "reserved")["order_id"])
    keys = [f"a-key-of-{order_id}" for order_id in orders]
    provider = demo.processes("firstcome", "simulator")
    operator = demo.operator()

    def line() -> dict[str, object]:
        return dict(operator.get(f"/api/v1/sales/{slug}/line").json())

    for process in provider:
        process.suspend()
    try:
        with ThreadPoolExecutor(3) as threads:
            assert set(threads.map(refused, inside, orders, keys)) == {503}

        def held() -> bool | None:
            hold = line().get("hold")
            return (isinstance(hold, dict) and hold["reason"] == "provider_down") or None

        eventually(held, "the line says that paying does not work", 40)
        newcomer.join(slug)  # nobody is waiting yet, and who comes now is not called
        place = newcomer.ticket(slug)
        assert (place["state"], place["estimate"]["reason"]["code"]) == ("waiting", "provider_down")
        figures = operator.get(f"/api/v1/operator/sales/{slug}/figures").json()
        assert figures["limit"] == "provider_down"
        assert [one["down"] for one in figures["providers"]] == [True]
        more_time = {"minutes": 5, "reason": "the provider is down"}
        path = f"/api/v1/operator/sales/{slug}/actions/extend-holds"
        assert operator.post(path, json=more_time).status_code == 200
    finally:
        for process in provider:
            process.kill()  # another one is started in its place
        psutil.wait_procs(provider, timeout=20)

    newcomer.await_call(slug, 60)  # nobody did anything: the sweeper asks until it is answered
    # It is seen up to a second later.
    eventually(lambda: "hold" not in line() or None, "the line says that it goes on", 20)
    for buyer, order_id in zip(inside, orders, strict=True):
        buyer.pay(order_id)
        buyer.await_order(order_id, "paid")
