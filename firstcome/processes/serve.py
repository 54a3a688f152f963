"""`firstcome serve`: the gateway in several worker processes behind one port."""

from __future__ import annotations

from firstcome import asgi
from firstcome.ports import refuse_taken_port
from firstcome.processes.serving import allow_many_connections, serve_app
from firstcome.settings import Settings


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises PortTaken."""
    refuse_taken_port(settings.host, settings.port)
    allow_many_connections()
    serve_app(asgi.create, settings.host, settings.port, workers=settings.serve_workers)
