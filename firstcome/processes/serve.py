"""`firstcome serve`: the gateway in several worker processes behind one port, by granian.

Knows how the server is run, nothing of what it answers; the application is made in each worker by `firstcome.asgi.create`.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.log import LogLevels
from granian.server import Server

from firstcome import asgi
from firstcome.servers import die_with_parent
from firstcome.settings import Settings

# granian holds no more connections than this per worker; a crowd that polls keeps its connections open.
CONNECTIONS_PER_WORKER = 20_000
WAITING_TO_BE_ACCEPTED = 4_096
STOPPED_WITHIN_S = 6


class PortTaken(Exception):
    """Somebody listens on the port already; the message is one sentence."""


# granian would set up log lines of its own; its messages shall go where all others go.
_LOGS_LEFT_ALONE: dict[str, Any] = {
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
}


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises PortTaken."""
    refuse_taken_port(settings.host, settings.port)
    allow_many_connections()
    serve_app(asgi.create, settings.host, settings.port, workers=settings.serve_workers)


def serve_app(create: Callable[[], Any], host: str, port: int, *, workers: int) -> None:
    """Run the application that `create()` makes in each worker, until SIGTERM or SIGINT; dead workers are replaced."""
    server = Server(
        "firstcome",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        runtime_mode=RuntimeModes.st,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
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
    die_with_parent(parent_pid)
    return create()


def refuse_taken_port(host: str, port: int) -> None:
    """Raise PortTaken if somebody listens there. granian itself would share the port with another granian unnoticed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"Port {port} on {host} is taken by another program.") from None
            raise PortTaken(
                f"Port {port} on {host} cannot be used: {os.strerror(error.errno or 0)}."
            ) from None


def allow_many_connections() -> None:
    """Raise the limit of open files to what the system lets this user have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
