"""Operators' streams when the gateway is asked to end: they end properly, and are there again when it is."""

from __future__ import annotations

import httpx

from tests.running import RunningDemo, eventually

STREAM = {"Accept": "text/event-stream"}


def test_a_gateway_that_is_asked_to_end_ends_its_streams_first(demo: RunningDemo) -> None:
    path = "/api/v1/operator/sales/demo/figures"
    client = demo.operator()
    with client.stream("GET", path, headers=STREAM, timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("data: "))
        (server,) = (one for one in demo.processes("firstcome serve") if one.children())
        server.terminate()
        for _ in lines:  # cut off in the middle it would be a fault of the protocol
            pass

    def streams_again() -> bool | None:
        try:
            with client.stream("GET", path, headers=STREAM, timeout=10) as again:
                return again.status_code == 200 or None
        except httpx.TransportError:
            return None

    eventually(streams_again, "the gateway is back", 30)
