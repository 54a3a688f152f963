"""The calls to payment providers, counted where every process sees them, and whether paying works.

`Counted` stands before a provider and counts what becomes of its calls; `ProviderHealth` reads the counts and judges. Counting
never fails a call: without Redis nothing is counted, and nobody is called either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import redis
import structlog
from redis.exceptions import RedisError

from shop.payments.health import SLOT_MS, WINDOW_MS, Calls, Health, counted, judge, worth_a_probe
from shop.payments.providers import Asked, Callback, Opened, Provider, Providers
from shop.payments.rules import ProviderRefused, ProviderUnavailable, Report
from waiting_room.keys import calls_to_provider
from workers import scripts

log = structlog.get_logger(__name__)

T = TypeVar("T")

# A payment that no shop ever made: asked for to hear whether the provider answers at all.
PROBE = "health-probe"


class Counted:
    """A provider whose calls are counted; everything else it leaves to the provider itself."""

    def __init__(self, provider: Provider, client: redis.Redis) -> None:
        self._provider = provider
        self._client = client
        self._note = client.register_script(scripts.source("note_call"))
        self.name = provider.name

    def start(self, asked: Asked) -> Opened:
        return self._counted(lambda: self._provider.start(asked))

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report | None:
        return self._counted(lambda: self._provider.fetch(payment_id, provider_ref))

    def cancel(self, payment_id: str, provider_ref: str | None) -> Report | None:
        return self._counted(lambda: self._provider.cancel(payment_id, provider_ref))

    def refund(self, payment_id: str, provider_ref: str | None, amount: int, key: str) -> Report:
        return self._counted(lambda: self._provider.refund(payment_id, provider_ref, amount, key))

    def read_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        return self._provider.read_callback(headers, body, now)

    def read_event(self, event_id: str, body: bytes) -> Callback:
        return self._provider.read_event(event_id, body)

    def close(self) -> None:
        """Close the provider's connections, if it keeps any."""
        close = getattr(self._provider, "close", None)
        if close is not None:
            close()

    def _counted(self, call: Callable[[], T]) -> T:
        try:
            answer = call()
        except ProviderUnavailable:
            self._count("failed")
            raise
        except ProviderRefused:
            self._count("answered")
            raise
        self._count("answered")
        return answer

    def _count(self, became: str) -> None:
        try:
            self._note(keys=[calls_to_provider(self.name)], args=[became, SLOT_MS])
        except RedisError as error:
            log.warning("provider_call_not_counted", provider=self.name, error=str(error))


class ProviderHealth:
    """What one process makes of the counts, for the providers of these names. Safe to use from several threads.

    Methods raise redis-py's RedisError.
    """

    def __init__(self, client: redis.Redis, names: Sequence[str]) -> None:
        self._client = client
        self._verdicts = dict.fromkeys(names, Health())
        self._lock = threading.Lock()

    def down(self) -> bool:
        """Whether paying does not work: every provider is down."""
        with self._lock:
            for name, before in self._verdicts.items():
                slots, now_ms = _read(self._client, name)
                after = judge(before, slots, now_ms)
                if after.down != before.down:
                    log.warning("provider_down" if after.down else "provider_up", provider=name)
                self._verdicts[name] = after
            return bool(self._verdicts) and all(one.down for one in self._verdicts.values())


def lately(client: redis.Redis, name: str) -> Calls:
    """The calls to a provider in the last 30 s."""
    slots, now_ms = _read(client, name)
    return counted(slots, now_ms - WINDOW_MS)


def probe(client: redis.Redis, providers: Providers) -> bool:
    """Ask those providers whose calls failed lately whether they answer, so that a hold ends by itself; whether any was asked."""
    asked = False
    for name, provider in providers.items():
        if worth_a_probe(*_read(client, name)):
            asked = True
            try:
                provider.fetch(PROBE, None)
            except (ProviderUnavailable, ProviderRefused) as error:
                log.info("provider_probed", provider=name, what=error.what)
    return asked


def _read(client: redis.Redis, name: str) -> tuple[dict[int, Calls], int]:
    """What was counted, by the beginning of each slot, and the time of the store (unix ms)."""
    pipeline = client.pipeline(transaction=False)
    pipeline.hgetall(calls_to_provider(name))
    pipeline.time()
    fields, (seconds, micros) = pipeline.execute()
    slots: dict[int, dict[str, int]] = {}
    for field, count in fields.items():
        began_ms, _, became = field.partition(":")
        slots.setdefault(int(began_ms), {})[became] = int(count)
    return {began: Calls(**counts) for began, counts in slots.items()}, seconds * 1000 + micros // 1000
