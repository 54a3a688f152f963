"""The verbs of whoever keeps the shop running: the database's schema, what is wrong, who may sign in, whether the books add up."""

from __future__ import annotations

import sys

import click

from firstcome.settings import load_settings_or_demo
from firstcome.verbs.verb import Fault, verb


@verb("migrate")
def migrate() -> None:
    """Bring the database to the present schema. Safe to repeat, and while older processes run."""
    from shop.storage.migrate import migrate as run

    run(load_settings_or_demo().database_url)
    click.echo("The database has the present schema.")


@verb("doctor")
@click.option(
    "--settings", "show_settings", is_flag=True, help="print every setting, secrets masked, and ask nothing"
)
@click.option(
    "--stores", "stores_only", is_flag=True, help="ask only Redis and the database, as a healthcheck does"
)
def doctor(show_settings: bool, stores_only: bool) -> None:
    """Ask every dependency and setting; say what is wrong and how to mend it."""
    from firstcome import doctor as examination

    settings = load_settings_or_demo()
    if show_settings:
        for name, value in settings.masked().items():
            click.echo(f"{name}={value}")
        return
    if not examination.run(settings, click.echo, stores_only=stores_only):
        sys.exit(1)


@verb("create")
@click.option("--email", required=True, help="the address to sign in with")
@click.option("--name", required=True, help="the name in the audit")
@click.option(
    "--role", type=click.Choice(["viewer", "operator", "admin"]), required=True, help="what they may do"
)
@click.password_option(help="asked for if not given; a password on the command line is seen by others")
def operator_create(email: str, name: str, role: str, password: str) -> None:
    """Create an operator's account."""
    from firstcome.wiring import account_kit, database
    from shop.accounts.operators import create_operator

    settings = load_settings_or_demo()
    create_operator(database(settings), account_kit(settings), email, password, name, role)
    click.echo(f"{email} may sign in as {role}.")


@verb("disable")
@click.option("--email", required=True, help="the address that they sign in with")
def operator_disable(email: str) -> None:
    """Let an operator in no more: sign-in and every open session end. What they did stays in the audit."""
    from firstcome.wiring import account_kit, database
    from shop.accounts.contact import find_operator
    from shop.accounts.operators import disable_operator

    settings = load_settings_or_demo()
    db = database(settings)
    found = db.read(find_operator, account_kit(settings), email)
    if found is None:
        raise Fault("there is no operator with this address.")
    disable_operator(db, found.operator_id)
    click.echo(f"{email} may no longer sign in.")


@click.group("operator", commands=[operator_create, operator_disable])
def operator() -> None:
    """The people who run sales."""


@verb("rotate")
def keys_rotate() -> None:
    """Seal all personal data with the first key of FIRSTCOME_SECRET_KEYS, so that older ones can be dropped.

    First put the new key in front, keep the old ones, and restart every process. Safe to repeat, and while the shop is open.
    """
    from firstcome import rotating

    done = rotating.rotate(load_settings_or_demo())
    click.echo(f"Sealed anew with {done.active}: {done.rows} rows.")
    for key_id, slugs in done.needed.items():
        click.echo(f"Keep {key_id}: tickets are signed with it in {', '.join(slugs)}.")
    click.echo("Keep older keys for a day more, for sessions and receipts that were signed with them.")


@click.group("keys", commands=[keys_rotate])
def keys() -> None:
    """The keys of the installation."""


@verb("reconcile")
@click.option("--apply", is_flag=True, help="put right in the database what follows from the orders")
@click.option("--reason", help="why; kept in the audit. Needed by --apply")
def reconcile(apply: bool, reason: str | None) -> None:
    """Prove that ledger, counters, reservations, orders, payments and the copies in Redis agree; name every row that is off.

    Copies that are wrong are laid anew. The database is changed with --apply only: reservations, ledger and counters become what
    the orders say, by rows of the ledger and the audit; orders and money are never touched. Exit codes: 0 everything agrees
    (by now), 1 something is off, 2 wrong usage or wrong settings.
    """
    from firstcome import reconciling

    if apply is not bool(reason and reason.strip()):
        raise click.UsageError("--apply and --reason go together: a change of the books says why.")
    settings = load_settings_or_demo()
    found = reconciling.books(settings, reason.strip() if reason else None)
    for mended in found.mended:
        click.echo(f"put right: {mended}")
    for difference in found.left:
        click.echo(str(difference), err=True)
    for mended in reconciling.copies(settings):  # last: without Redis the books are told of all the same
        click.echo(f"put right: {mended}")
    if found.left:
        raise Fault(f"The books do not add up: {len(found.left)} differences.")
    click.echo("The books add up.")
