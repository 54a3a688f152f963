"""The command `firstcome`: every verb, its help and its exit codes. Each verb's work stands in a module of its own.

Exit codes: 0 done · 1 a fault that one line on stderr names · 2 wrong usage or wrong settings.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click
import msgspec
from redis.exceptions import RedisError

from firstcome.private_server import ServerFault
from firstcome.settings import Settings, SettingsFault, load_settings, load_settings_or_demo
from shop.errors import ShopError, Unavailable

EPILOG = "Exit codes: 0 done, 1 a fault that one line names, 2 wrong usage or wrong settings."


class Fault(click.ClickException):
    """An expected fault of a verb: one line for the person at the terminal, exit code 1."""

    def show(self, _file: Any = None) -> None:
        click.echo(f"firstcome: {self.format_message()}", err=True)


class TooSoon(Fault):
    """Nothing to be done yet."""

    exit_code = 3


class WrongSettings(Fault):
    """Settings that cannot be used; every fault on a line of its own."""

    exit_code = 2


def one_line_faults(verb: Callable[..., None]) -> Callable[..., None]:
    """Turn the faults that a verb may meet into one line and an exit code; anything else is a defect and shows its trace."""

    @functools.wraps(verb)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            verb(*args, **options)
        except SettingsFault as fault:
            raise WrongSettings("\n           ".join(fault.faults)) from None
        except ServerFault as fault:
            raise Fault(str(fault)) from None
        except Unavailable as fault:
            raise Fault(f"{fault.what}; see `firstcome doctor`.") from None
        except ShopError as fault:
            raise Fault(str(fault)) from None
        except RedisError as fault:
            raise Fault(f"Redis does not answer ({type(fault).__name__}); see `firstcome doctor`.") from None

    return guarded


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="firstcome", message="%(prog)s %(version)s")
def cli() -> None:
    """A self-hosted front for flash sales: a fair waiting room joined to stock, orders and payment.

    Settings come from FIRSTCOME_… variables and the file .env; `firstcome doctor --settings` shows them. Beside a running
    demo, and with no settings given, `doctor`, `migrate`, `operator`, `reconcile` and `demo-tokens` use the demo's.
    """


def verb(name: str, group: click.Group = cli) -> Callable[[Callable[..., None]], click.Command]:
    """Register a function as a verb, with its faults in one line each."""

    def register(function: Callable[..., None]) -> click.Command:
        return group.command(name, epilog=EPILOG)(one_line_faults(function))

    return register


def _start(process: str) -> Settings:
    """The settings of a process that serves, with its log set up. Its code is loaded only once the settings are good."""
    from firstcome import forgetful_redis, logs

    settings = load_settings()
    forgetful_redis.refuse(settings)
    logs.configure(process, settings.log_level, settings.log_format)
    logs.announce_restarts(process)
    return settings


# ---------------------------------------------------------------- processes


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


# ---------------------------------------------------------------- verbs of a person


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


@cli.group("operator")
def operator() -> None:
    """The people who run sales."""


@verb("create", operator)
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
    found = reconciling.reconcile(load_settings_or_demo(), reason.strip() if reason else None)
    for mended in found.mended:
        click.echo(f"put right: {mended}")
    for difference in found.left:
        click.echo(str(difference), err=True)
    if found.left:
        raise Fault(f"The books do not add up: {len(found.left)} differences.")
    click.echo("The books add up.")


@verb("verify-draw")
@click.argument("source")
@click.option("--list", "list_source", help="address or file of the list, where SOURCE does not lead there")
@click.option("--ticket", help="also print the place of this ticket id")
def verify_draw(source: str, list_source: str | None, ticket: str | None) -> None:
    """Recompute a draw from public data alone.

    SOURCE is a sale's page, the address of its draw (…/api/v1/sales/SALE/draw) or a file with what that answers. Exit codes: 0 the
    draw is what was promised, 1 it is not or cannot be read, 3 it has not taken place yet.
    """
    from firstcome import verify_draw as verifying

    try:
        verdict = verifying.verify(source, list_source, ticket)
    except verifying.Unreadable as fault:
        raise Fault(str(fault)) from None
    except verifying.NotPublic as fault:
        raise TooSoon(str(fault)) from None
    for sentence in verdict.faults:
        click.echo(sentence, err=True)
    if verdict.faults:
        raise Fault("This draw is not what was promised.")
    click.echo(
        f"The draw of {verdict.sale} is what was promised: {verdict.size} tickets in the order of their scores."
    )
    if verdict.place is not None:
        click.echo(f"{ticket} stands at {verdict.place:g}.")


_REHEARSED = (
    ("crowd", int, "how many buyers"),
    ("before-opening", float, "share of them that waits when the sale opens"),
    ("spike-s", int, "seconds within which half of the others come"),
    ("no-show-share", float, "share that does not answer the first call"),
    ("come-back-share", float, "share of those that comes back in time"),
    ("leave-share", float, "share that leaves within half an hour of waiting"),
    ("unpaid-share", float, "share of orders that is never paid"),
    ("checkout-median-s", int, "seconds from pass to order, median"),
    ("checkout-p90-s", int, "the same, 90th percentile"),
    ("payment-median-s", int, "seconds from order to money, median"),
    ("payment-p90-s", int, "the same, 90th percentile"),
    ("stock", int, "units for sale"),
    ("calls-per-minute", int, "rate"),
    ("capacity", int, "most buyers called or in checkout at a time"),
    ("turn-window-s", int, "seconds to answer a call"),
    ("comeback-s", int, "seconds to come back after a missed turn"),
    ("hold-s", int, "seconds to pay"),
    ("pass-s", int, "seconds to order"),
    ("over-call-limit", float, "how far to call beyond the free units, 1 to 2"),
    ("lasts-s", int, "seconds that the sale is open"),
    ("seed", int, "of the crowd's chance"),
)


def _plan_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, kind, text in reversed(_REHEARSED):
        function = click.option(f"--{name}", type=kind, help=text)(function)
    return function


@verb("rehearse")
@click.option("--sale", help="take the settings of this sale (slug) from the database")
@click.option("--plan", "plan_file", type=click.File("rb"), help="a plan as JSON, - for standard input")
@click.option("--json", "as_json", is_flag=True, help="the whole report as JSON")
@_plan_options
def rehearse(sale: str | None, plan_file: Any, as_json: bool, **options: Any) -> None:
    """Rehearse a sale with a made-up crowd, on a private Redis and a simulated clock.

    Options given here come before those of --sale or --plan. The same plan and seed give the same report.
    """
    from firstcome import rehearse as rehearsing
    from rehearsal.plan import Plan
    from rehearsal.stage import RehearsalFault
    from waiting_room.refusals import RoomUnavailable

    try:
        plan = rehearsing.read_plan(plan_file.read()) if plan_file else Plan()
        if sale:
            from firstcome.wiring import database
            from rehearsal.of_sale import plan_of
            from shop.sales.reading import read_sale

            plan = plan_of(read_sale(database(load_settings_or_demo()), sale))
        given = {name: value for name, value in options.items() if value is not None}
        report = rehearsing.run(rehearsing.plan_with(plan, given))
    except rehearsing.PlanFault as fault:
        raise WrongSettings(str(fault)) from None
    except (RehearsalFault, RoomUnavailable) as fault:
        raise Fault(f"The rehearsal broke off: {fault}") from None
    click.echo(msgspec.json.encode(report).decode() if as_json else rehearsing.in_words(report))


@verb("demo")
@click.option("--fresh", is_flag=True, help="throw the data of earlier demos in this folder away")
def demo(fresh: bool) -> None:
    """Run a whole sale on this machine, until Ctrl-C: servers, demo data, every process."""
    from firstcome import demo as show
    from firstcome.demo_settings import load_demo_choices

    show.run(load_demo_choices(), fresh=fresh)


@verb("demo-tokens")
@click.option("--count", type=click.IntRange(1, 100_000), required=True, help="how many")
def demo_tokens(count: int) -> None:
    """Print verified demo buyers with an access token each, one JSON object a line, for load tools."""
    from firstcome import demo_data

    settings = load_settings_or_demo()
    if not settings.demo:
        raise Fault("demo-tokens exists only beside a demo.")
    for line in demo_data.tokens(settings, count):
        click.echo(line)


def main() -> NoReturn:
    """The entry point of the command."""
    cli(prog_name="firstcome")
    raise AssertionError("click exits by itself")
