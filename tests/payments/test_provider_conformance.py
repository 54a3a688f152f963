"""What the shop relies on in every payment provider, asked of the adapter and the real process behind it."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shop.payments.providers import Asked, Opened, Provider
from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.rules import Fact, ProviderRefused, ProviderUnavailable, Report
from tests.payments.simulator_process import Shop, Simulator
from tests.till import SECRET, provider_at

AMOUNT = 42_000
_COUNT = itertools.count(1)


def asked(payment_id: str | None = None) -> Asked:
    return Asked(
        payment_id=payment_id or f"conf-{next(_COUNT)}-{time.time_ns()}"[:32],
        amount=AMOUNT,
        currency="KRW",
        title="달항아리 × 2",
        return_url="http://127.0.0.1:8000/pay/return/simulator?order_id=o1",
        expires_at=datetime.now(UTC) + timedelta(minutes=10),
    )


def choose(opened: Opened, outcome: str) -> None:
    """What the buyer does on the provider's page."""
    answer = httpx.post(opened.checkout_url, data={"outcome": outcome}, trust_env=False)
    assert answer.status_code == 303


def test_a_payment_started_twice_is_one_payment(provider: Provider) -> None:
    request = asked()
    assert provider.start(request) == provider.start(request)


def test_a_new_payment_waits_for_the_buyer_and_is_found_with_or_without_its_provider_id(
    provider: Provider,
) -> None:
    request = asked()
    opened = provider.start(request)
    waiting = Report(Fact.PENDING, AMOUNT, "KRW")
    assert provider.fetch(request.payment_id, opened.provider_ref) == waiting
    assert provider.fetch(request.payment_id, None) == waiting


def test_a_payment_that_the_provider_never_heard_of_is_none(provider: Provider) -> None:
    for reference in ("sim_unknown", None):
        assert provider.fetch("nobody", reference) is None
        assert provider.cancel("nobody", reference) is None


def test_an_open_payment_can_be_cancelled_and_then_takes_no_money(provider: Provider) -> None:
    request = asked()
    opened = provider.start(request)
    for _ in range(2):
        ended = provider.cancel(request.payment_id, opened.provider_ref)
        assert ended is not None
        assert ended.fact is Fact.CANCELLED
    choose(opened, "approve")
    now = provider.fetch(request.payment_id, None)
    assert now is not None
    assert now.fact is Fact.CANCELLED


def test_cancelling_a_paid_payment_says_that_it_is_paid(provider: Provider) -> None:
    request = asked()
    opened = provider.start(request)
    choose(opened, "approve")
    assert provider.cancel(request.payment_id, opened.provider_ref) == Report(Fact.SUCCEEDED, AMOUNT, "KRW")


def test_a_refund_gives_back_once_however_often_it_is_asked_for(provider: Provider) -> None:
    request = asked()
    opened = provider.start(request)
    choose(opened, "approve")
    back = [
        provider.refund(request.payment_id, reference, AMOUNT, "all")
        for reference in (opened.provider_ref, opened.provider_ref)
    ]
    assert {report.refunded for report in back} == {AMOUNT}
    assert {report.fact for report in back} == {Fact.REFUNDED}
    after = provider.fetch(request.payment_id, None)
    assert after == Report(Fact.SUCCEEDED, AMOUNT, "KRW", AMOUNT)


def test_each_key_gives_its_amount_back_once(provider: Provider) -> None:
    request = asked()
    opened = provider.start(request)
    choose(opened, "approve")
    back = [
        provider.refund(request.payment_id, opened.provider_ref, 100, key).refunded
        for key in ("one", "one", "two", "one")
    ]
    assert (back[0], back[2]) == (100, 200)
    assert provider.fetch(request.payment_id, None) == Report(Fact.SUCCEEDED, AMOUNT, "KRW", 200)


def test_more_than_was_captured_is_never_given_back(provider: Provider) -> None:
    request = asked()
    opened = provider.start(request)
    choose(opened, "approve")
    with pytest.raises(ProviderRefused):
        provider.refund(request.payment_id, opened.provider_ref, AMOUNT + 1, "all")
    with pytest.raises(ProviderRefused):
        provider.refund("nobody", None, 1, "all")


@pytest.mark.parametrize(
    ("outcome", "fact"),
    [("approve", Fact.SUCCEEDED), ("decline", Fact.FAILED), ("wrong_amount", Fact.SUCCEEDED)],
)
def test_callback_and_answer_say_the_same(provider: Provider, shop: Shop, outcome: str, fact: Fact) -> None:
    request = asked()
    opened = provider.start(request)
    choose(opened, outcome)
    (taken, *_) = shop.wait_for(request.payment_id, 1)
    callback = provider.read_callback(taken.headers, taken.body, datetime.now(UTC))
    assert callback.payment_id == request.payment_id
    assert callback.report is not None
    assert callback.report.fact is fact
    assert provider.fetch(request.payment_id, None) == callback.report


def test_a_wrong_api_key_is_a_refusal(simulator: Simulator) -> None:
    stranger = SimulatorProvider(simulator.url, "another-key", [SECRET])
    with pytest.raises(ProviderRefused):
        stranger.start(asked())
    stranger.close()


# ---------------------------------------------------------------- a provider on a bad day


@contextmanager
def bad_server(reply: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accepts connections and replies as told, until closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # closed: the test is over
                    return
                with connection:
                    connection.recv(65_536)
                    reply(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def answering(body: bytes, status: str = "200 OK") -> Callable[[socket.socket], None]:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def trickle(connection: socket.socket) -> None:
    """A byte now and then, each within its own time limit."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    try:
        while not silent.wait(0.05):
            connection.sendall(b" ")
    except OSError:  # the other side has had enough
        return


silent = threading.Event()
SILENCE = 1.2


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda _connection: silent.wait(SILENCE), id="silent"),
        pytest.param(lambda connection: connection.sendall(b"\x00\xff nonsense"), id="nonsense"),
        pytest.param(lambda _connection: None, id="hangs up"),
        pytest.param(answering(b"<html>hello</html>"), id="a page instead of JSON"),
        pytest.param(answering(b'{"id": 7}'), id="wrong JSON"),
        pytest.param(answering(b"[" * 60_000), id="endless brackets"),
        pytest.param(answering(b"", "503 Service Unavailable"), id="503"),
        pytest.param(answering(b"", "429 Too Many Requests"), id="429"),
        pytest.param(answering(b"", "302 Found"), id="302"),
        pytest.param(answering(b"x" * 70_000), id="too long"),
        pytest.param(lambda connection: trickle(connection), id="trickling"),
    ],
)
def test_a_provider_on_a_bad_day_is_unavailable_and_never_a_fault(
    reply: Callable[[socket.socket], None],
) -> None:
    with bad_server(reply) as url:
        adapter = provider_at(url, timeout_s=0.3)
        began = time.monotonic()
        with pytest.raises(ProviderUnavailable):
            adapter.start(asked())
        assert time.monotonic() - began < SILENCE
        with pytest.raises(ProviderUnavailable):
            adapter.fetch("p", "r")
        adapter.close()


def test_a_provider_that_is_not_there_is_unavailable() -> None:
    adapter = provider_at()
    with pytest.raises(ProviderUnavailable):
        adapter.start(asked())
    adapter.close()
