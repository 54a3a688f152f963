"""Delivers the stand-in's callbacks: signed at each sending, retried with growing pauses, never forgotten over a restart.

What is to be sent stands in the store; this task only looks, sends and notes. Knows nothing of the pay page or the API.
"""

from __future__ import annotations

import asyncio
import logging
import time

import httpx

from gateway.simulator.config import SimulatorConfig
from gateway.simulator.payment import now_ms
from gateway.simulator.store import Delivery, Store
from shop.payments import webhooks

AT_ONCE = 16
LOOK_AGAIN_S = 30.0

log = logging.getLogger(__name__)


class Courier:
    """One background task. `wake()` after anything was put into the store."""

    def __init__(self, store: Store, config: SimulatorConfig) -> None:
        self._store = store
        self._config = config
        self._keys = webhooks.read_secrets(config.webhook_secrets)
        self._woken = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        timeout = self._config.callback_timeout_s
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            try:
                while True:
                    self._woken.clear()
                    await self._round(client)
                    await self._wait()
            finally:
                for task in self._under_way.values():
                    task.cancel()
                await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _round(self, client: httpx.AsyncClient) -> None:
        await asyncio.to_thread(self._store.hear_from_banks)
        room = AT_ONCE - len(self._under_way)
        # Those under way still count as due, so ask for as many more.
        for delivery in await asyncio.to_thread(self._store.due, AT_ONCE + len(self._under_way)):
            if room > 0 and delivery.delivery_id not in self._under_way:
                room -= 1
                task = asyncio.create_task(self._deliver(client, delivery))
                self._under_way[delivery.delivery_id] = task

    async def _wait(self) -> None:
        next_at = await asyncio.to_thread(self._store.next_event_at_ms)
        pause = LOOK_AGAIN_S if next_at is None else min(LOOK_AGAIN_S, (next_at - now_ms()) / 1000)
        if pause <= 0 and self._under_way:
            pause = 1.0  # what is due is under way, and its end wakes us
        try:
            await asyncio.wait_for(self._woken.wait(), max(pause, 0.005))
        except TimeoutError:
            return

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            answer = await self._send(client, delivery)
            pauses = self._config.retry_delays_s
            if answer.startswith("2"):
                await asyncio.to_thread(self._store.delivered, delivery.delivery_id, answer)
            elif delivery.attempts >= len(pauses):
                log.warning("callback %s was refused for the last time: %s", delivery.event_id, answer)
                await asyncio.to_thread(self._store.gave_up, delivery.delivery_id, answer)
            else:
                pause = pauses[delivery.attempts]
                await asyncio.to_thread(self._store.not_delivered, delivery.delivery_id, answer, pause)
        finally:
            self._under_way.pop(delivery.delivery_id, None)
            self.wake()

    async def _send(self, client: httpx.AsyncClient, delivery: Delivery) -> str:
        """The status code, or the name of the error."""
        headers = webhooks.sign(delivery.event_id, int(time.time()), delivery.body, self._keys)
        headers["content-type"] = "application/json"
        try:
            answer = await client.post(self._config.callback_url, content=delivery.body, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(answer.status_code)
