"""Bounds in this process: few threads with short queues for what blocks, and a limit on polls of one ticket.

Beyond a bound the answer is a refusal at once, so that a stampede of sign-ins never makes the line slow and a runaway client
never reaches Redis. Knows neither passwords nor tickets.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from gateway.refusals import Overloaded, TooManyAttempts, TooManyJoins, TooManyPolls

P = ParamSpec("P")
T = TypeVar("T")


class Comebacks:
    """When those who are refused shall ask again: one after the other, as fast as calls end.

    Told the same few seconds each, ten thousand who sign in at once come back together, are refused together, and being refused
    costs more than what they wait for. Nobody is told more than `most_s`. Not safe for threads by itself.
    """

    def __init__(self, threads: int, most_s: float) -> None:
        self._threads = threads
        self._most_s = most_s
        self._took_s = 0.05
        self._promised_at = 0.0

    def ended(self, took_s: float) -> None:
        """A call has run for so long; the mean of the last few says how fast the others will be through."""
        self._took_s += (took_s - self._took_s) / 16

    def idle(self) -> None:
        """Nobody runs or waits: whoever was sent away and has not come back is not waited for."""
        self._promised_at = 0.0

    def wait_s(self, now: float) -> float:
        """Seconds from `now`, a monotonic time, until there may be room for one more who is refused."""
        step = self._took_s / self._threads
        self._promised_at = min(max(self._promised_at, now) + step, now + self._most_s)
        return self._promised_at - now


class BoundedPool(ThreadPoolExecutor):
    """Runs work in `threads` threads while at most `queue` more calls wait; more than that is refused at once.

    A call that has waited for a thread for `patience_s` is refused instead of run: when a store hangs, the last of the queue
    would otherwise wait for the timeouts of all before it, and whoever asked has long gone. Whoever is refused is told to ask
    again when those before are through, after some `comeback_s` at most.
    An executor, so that it can also be an event loop's default one and bound everything that leaves the loop.
    """

    def __init__(
        self, threads: int, queue: int, name: str, *, patience_s: float = 5.0, comeback_s: float = 10.0
    ) -> None:
        super().__init__(max_workers=threads, thread_name_prefix=name)
        self._most = threads + queue
        self._patience_s = patience_s
        self._inside = 0
        self._comebacks = Comebacks(threads, comeback_s)
        self._counting = threading.Lock()

    @property
    def inside(self) -> int:
        """Calls that run or wait."""
        return self._inside

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(…)` in one of the threads. Raises Overloaded, without waiting when the queue is full."""
        return await asyncio.get_running_loop().run_in_executor(self, partial(work, *args, **kwargs))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As ThreadPoolExecutor's. Raises Overloaded when the queue is full; the future does when it was waited in too long."""
        with self._counting:
            if self._inside >= self._most:
                raise self._overloaded()
            self._inside += 1
        until = time.monotonic() + self._patience_s

        def in_time() -> T:
            began = time.monotonic()
            if began > until:
                with self._counting:
                    raise self._overloaded()
            try:
                return fn(*args, **kwargs)
            finally:
                with self._counting:
                    self._comebacks.ended(time.monotonic() - began)

        try:
            future = super().submit(in_time)
        except RuntimeError:  # shut down
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _future: object) -> None:
        with self._counting:
            self._inside -= 1
            if not self._inside:
                self._comebacks.idle()

    def _overloaded(self) -> Overloaded:
        """A refusal that says when to ask again, spread, so that nobody comes back with somebody else."""
        wait_s = self._comebacks.wait_s(time.monotonic()) * random.uniform(1, 1.25)
        return Overloaded("too much waits already", retry_after_s=int(wait_s) + random.randint(2, 6))


class Limiter:
    """At most `most` calls per key within `within_s` seconds, in this process. Bounded memory: the oldest keys are forgotten.

    Keys are kept as Python's `hash` of them, which is keyed anew in every process: no address lies in memory.
    """

    def __init__(self, most: int, within_s: float, *, remembered: int = 200_000) -> None:
        self._most = most
        self._within_s = within_s
        self._remembered = remembered
        self._calls: dict[int, list[float]] = {}

    def wait_s(self, key: str, *, count: bool = True) -> float:
        """0 when a call is allowed, else the seconds until the next one is. Counts an allowed call unless told not to."""
        now, known = time.monotonic(), hash(key)
        calls = [at for at in self._calls.get(known, ()) if now - at < self._within_s]
        if len(calls) >= self._most:
            return self._within_s - (now - calls[0])
        if count:
            if known not in self._calls and len(self._calls) >= self._remembered:
                self._forget()
            self._calls[known] = [*calls, now]
        return 0.0

    def _forget(self) -> None:
        """Drop the half that was seen first; a dict keeps the order of insertion."""
        for key in list(self._calls)[: self._remembered // 2]:
            del self._calls[key]


class PollLimiter:
    """Over 8 polls of one ticket in 10 s are refused, before any Redis command.

    Most tickets poll once in that time and cost a number each. They are kept in two halves, the older of which is dropped whole:
    nothing is ever searched for what is old, and both together hold `remembered` tickets at most.
    """

    def __init__(
        self,
        most: int = 8,
        within_s: float = 10.0,
        *,
        remembered: int = 200_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._within_s = within_s
        self._most_in_half = remembered // 2
        self._clock = clock
        self._young: dict[str, float | list[float]] = {}
        self._old: dict[str, float | list[float]] = {}
        self._begun_s = clock()

    def admit(self, ticket_id: str) -> None:
        """Raises TooManyPolls; a refused poll does not count."""
        now = self._clock()
        if now - self._begun_s >= self._within_s or len(self._young) >= self._most_in_half:
            self._young, self._old, self._begun_s = {}, self._young, now
        known = self._young.get(ticket_id) or self._old.get(ticket_id)
        if known is None:
            self._young[ticket_id] = now
            return
        polls = known if isinstance(known, list) else [known]
        if len(polls) >= self._most:
            polls = [at for at in polls if now - at < self._within_s]
        if len(polls) >= self._most:
            wait_s = int(self._within_s - (now - polls[0])) + 1
            raise TooManyPolls("this ticket is asked about too often", retry_after_s=wait_s)
        polls.append(now)
        self._young[ticket_id] = polls


class JoinLimiter:
    """Over 8 joins of one buyer in 10 s are refused, before any Redis command: whoever has a place needs no second one."""

    def __init__(self, most: int = 8, within_s: float = 10.0) -> None:
        self._limiter = Limiter(most, within_s)

    def admit(self, ticket_id: str) -> None:
        """Raises TooManyJoins."""
        wait_s = self._limiter.wait_s(ticket_id)
        if wait_s > 0:
            raise TooManyJoins("you are asking for a place too often", retry_after_s=int(wait_s) + 1)


class AttemptLimiter:
    """Slows down guessing: so many *failed* attempts a minute for one mail address and from one network. Successes are free."""

    def __init__(self, per_address: int = 10, per_network: int = 100) -> None:
        self._by_address = Limiter(per_address, 60.0, remembered=50_000)
        self._by_network = Limiter(per_network, 60.0, remembered=50_000)

    def admit(self, address: str, network: str) -> None:
        """Raises TooManyAttempts once too many have failed."""
        wait_s = max(
            self._by_address.wait_s(_same(address), count=False),
            self._by_network.wait_s(network, count=False),
        )
        if wait_s > 0:
            raise TooManyAttempts("too many attempts failed", retry_after_s=int(wait_s) + 1)

    def failed(self, address: str, network: str) -> None:
        """Remember a failed attempt."""
        self._by_address.wait_s(_same(address))
        self._by_network.wait_s(network)


class LetterLimiter:
    """Sign-ups and requests for new passwords, each of which may send a letter: so many in ten minutes for one mail address and
    from one network. A network that is not public ("") is not counted: it may be a proxy, and everybody behind it.
    """

    def __init__(self, per_address: int = 5, per_network: int = 100) -> None:
        self._by_address = Limiter(per_address, 600.0, remembered=50_000)
        self._by_network = Limiter(per_network, 600.0, remembered=50_000)

    def admit(self, address: str, network: str) -> None:
        """Raises TooManyAttempts, whether or not the address is known."""
        wait_s = max(
            self._by_address.wait_s(_same(address), count=False),
            self._by_network.wait_s(network, count=False) if network else 0.0,
        )
        if wait_s > 0:
            raise TooManyAttempts("too many letters were asked for", retry_after_s=int(wait_s) + 1)
        self._by_address.wait_s(_same(address))
        if network:
            self._by_network.wait_s(network)


def _same(address: str) -> str:
    return address.strip().lower()
