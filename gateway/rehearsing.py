"""Rehearsals that operators ask for: each a process of its own, one at a time, so that nothing here waits for a simulated crowd."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
from typing import Any

import msgspec
import structlog

from gateway.bodies.problems import FieldFault
from gateway.reading import check
from gateway.refusals import BadFields, RehearsalBrokeOff, RehearsalBusy
from gateway.services import Services
from rehearsal.of_sale import plan_of
from rehearsal.plan import Plan, fault_of
from rehearsal.report import Report
from shop.sales import reading
from workers.orphans import end_with_parent

log = structlog.get_logger(__name__)

# A proxy gives up after a minute; so do we, a little earlier and with a sentence.
LONGEST_S = 55.0
END_WITHIN_S = 5.0
COMMAND = (sys.executable, "-m", "firstcome", "rehearse", "--plan", "-", "--json")


class Rehearsals:
    """At most one rehearsal of this process."""

    def __init__(self, command: tuple[str, ...] = COMMAND, longest_s: float = LONGEST_S) -> None:
        self._command, self._longest_s = command, longest_s
        self._busy = False
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, plan: Plan) -> Report:
        """Raises RehearsalBusy, or RehearsalBrokeOff when it takes too long, is ended, or fails."""
        if self._busy:
            raise RehearsalBusy("another rehearsal is under way; it takes a minute at most", retry_after_s=15)
        self._busy = True
        try:
            return await self._run(plan)
        finally:
            self._busy = False

    def stop(self) -> None:
        """End the one that is under way, and with it its Redis."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def _run(self, plan: Plan) -> Report:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=_ending_with_us()
        )
        self._process = process
        try:
            async with asyncio.timeout(self._longest_s):
                told, said = await process.communicate(msgspec.json.encode(plan))
        except TimeoutError:
            raise RehearsalBrokeOff(
                f"it took longer than {self._longest_s:.0f} s; a smaller crowd or a shorter sale takes less"
            ) from None
        finally:
            await _end(process)
            self._process = None
        if process.returncode:
            log.error("rehearsal_failed", code=process.returncode, said=said.decode(errors="replace")[-2000:])
            raise RehearsalBrokeOff("it could not be finished; the log says why")
        return msgspec.json.decode(told, type=Report)


def _ending_with_us() -> Any:
    """For the child: end when this process ends, however it ends (Linux)."""
    if sys.platform != "linux":
        return None
    return functools.partial(end_with_parent, os.getpid(), signal.SIGTERM)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_WITHIN_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def suggested(services: Services, slug: str) -> Plan:
    """The plan that a sale suggests. Raises UnknownSale."""
    return plan_of(await services.threads(reading.read_sale, services.db, slug))


async def rehearse(services: Services, slug: str, given: dict[str, Any]) -> Report:
    """With these fields in place of the sale's own. Raises UnknownSale, BadFields, and as `Rehearsals.run`."""
    plan = check(msgspec.structs.asdict(await suggested(services, slug)) | given, Plan)
    if fault := fault_of(plan):
        raise BadFields([FieldFault(*fault)])
    return await services.rehearsals.run(plan)
