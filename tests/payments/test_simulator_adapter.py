"""The adapter of the stand-in beyond what every adapter is asked: wrong keys, odd amounts, and a provider on a bad day."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.rules import ProviderRefused, ProviderUnavailable
from tests.payments.simulator_process import Simulator
from tests.payments.test_provider_conformance import asked
from tests.till import SECRET, provider_at


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
