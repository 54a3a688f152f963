"""Asking whether a port is free before something is started on it."""

from __future__ import annotations

import errno
import os
import socket

from firstcome.private_server import ServerFault


class PortTaken(ServerFault):
    """Somebody listens on the port already, or this user may not; the message is one sentence."""


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
