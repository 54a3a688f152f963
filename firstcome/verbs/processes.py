"""The verbs of processes, which run until SIGTERM. Their code is loaded only once the settings are good."""

from __future__ import annotations

import click

from firstcome.settings import Settings, load_settings
from firstcome.verbs.verb import Fault, verb


def _start(process: str) -> Settings:
    """The settings of a process that serves, with its log set up."""
    from firstcome import forgetful_redis, logs

    settings = load_settings()
    forgetful_redis.refuse(settings)
    logs.configure(process, settings.log_level, settings.log_format)
    logs.announce_restarts(process)
    return settings


@verb("serve")
def serve() -> None:
    """Answer buyers, programs and operators over HTTP, until SIGTERM. Any number may run."""
    settings = _start("serve")
    from firstcome.processes import serve as process

    process.run(settings)


@verb("admit")
def admit() -> None:
    """Call buyers from the lines of all live sales. One process leads a sale, others stand by."""
    settings = _start("admit")
    from firstcome.processes import admit as process

    process.run(settings)


@verb("work")
@click.option(
    "--queue",
    type=click.Choice(["lanes", "outbox"]),
    required=True,
    help="decide orders, or send mail and refunds",
)
@click.option(
    "--processes", type=click.IntRange(1, 128), help="how many; the settings say it where this is not given"
)
def work(queue: str, processes: int | None) -> None:
    """Work on one queue: decide orders (lanes) or carry out what goes outside (outbox). Any number on any host."""
    settings = _start(f"work {queue}")
    from firstcome.processes import work as process

    process.run(settings, queue, processes)


@verb("sweep")
def sweep() -> None:
    """Compare and repair every two seconds: expired holds, missed doorbells, the copies in Redis. One is enough."""
    settings = _start("sweep")
    from firstcome.processes import sweep as process

    process.run(settings)


@verb("simulator")
def simulator() -> None:
    """Stand in for a payment provider, with a pay page and signed callbacks. Exists only in a demo."""
    if not load_settings().demo:
        raise Fault("simulator exists only in a demo.")
    settings = _start("simulator")
    from firstcome.processes import simulator as process

    process.run(settings)
