"""The command `firstcome`: all its verbs. What a verb takes and says stands in `verbs`, what it does in a module of its own."""

from __future__ import annotations

from typing import NoReturn

import click

from firstcome.verbs import demo, processes, sales, upkeep
from firstcome.verbs.verb import EPILOG


@click.group(
    epilog=EPILOG,
    commands=[
        *(processes.serve, processes.admit, processes.work, processes.sweep, processes.simulator),
        *(upkeep.migrate, upkeep.doctor, upkeep.operator, upkeep.keys, upkeep.reconcile),
        *(sales.rehearse, sales.verify_draw),
        *(demo.demo, demo.demo_tokens),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="firstcome", message="%(prog)s %(version)s")
def cli() -> None:
    """A self-hosted front for flash sales: a fair waiting room joined to stock, orders and payment.

    Settings come from FIRSTCOME_… variables and the file .env; `firstcome doctor --settings` shows them. Beside a running
    demo, and with no settings given, `doctor`, `migrate`, `operator`, `keys`, `reconcile` and `demo-tokens` use the demo's.
    """


def main() -> NoReturn:
    """The entry point of the command."""
    cli(prog_name="firstcome")
    raise AssertionError("click exits by itself")
