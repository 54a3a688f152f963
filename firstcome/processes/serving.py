"""Runs an ASGI application in worker processes behind one port, by granian. Knows nothing of the application."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from gateway.watching import END_IS_NEAR
from workers.orphans import end_with_parent

# granian holds no more connections than this per worker; a crowd that polls keeps its connections open.
CONNECTIONS_PER_WORKER = 20_000
WAITING_TO_BE_ACCEPTED = 4_096
STOPPED_WITHIN_S = 6
# granian would close a quiet connection after 30 s, just when a buyer far behind polls again: the answer would be lost.
QUIET_CONNECTION_MS = 90_000

# granian would set up log lines of its own; its messages shall go where all others go.
_LOGS_LEFT_ALONE: dict[str, Any] = {
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
}


class ForewarningServer(MPServer):
    """Tells its workers that the end is near before it asks them to end: a worker waits for answers under way, and an endless
    one would use up all the time there is.
    """

    def shutdown(self, exit_code: int = 0) -> None:
        """As granian's."""
        for worker in self.wrks:
            with suppress(ProcessLookupError):
                os.kill(worker.inner.pid, END_IS_NEAR)
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]


def serve_app(create: Callable[[], Any], host: str, port: int, *, workers: int) -> None:
    """Run the application that `create()` makes in each worker, until SIGTERM or SIGINT; dead workers are replaced.

    Before they end, workers get END_IS_NEAR; an application without endless answers need not care.
    """
    server = ForewarningServer(
        "firstcome",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        runtime_mode=RuntimeModes.st,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=QUIET_CONNECTION_MS),
        websockets=False,
        backlog=WAITING_TO_BE_ACCEPTED,
        backpressure=CONNECTIONS_PER_WORKER,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGS_LEFT_ALONE,
        respawn_failed_workers=True,
        workers_kill_timeout=STOPPED_WITHIN_S,
    )
    server.serve(target_loader=partial(_in_worker, create, os.getpid()), wrap_loader=False)


def _in_worker(create: Callable[[], Any], parent_pid: int) -> Any:
    """What a worker does first: make the application, and see to it that it ends with its parent.

    An orphan would go on taking its share of the port's connections.
    """
    end_with_parent(parent_pid, signal.SIGTERM)
    signal.signal(END_IS_NEAR, signal.SIG_IGN)
    return create()


def allow_many_connections() -> None:
    """Raise the limit of open files to what the system lets this user have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
