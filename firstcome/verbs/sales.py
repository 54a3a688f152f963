"""The verbs around one sale: rehearse it before, verify its draw after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from firstcome.settings import load_settings_or_demo
from firstcome.verbs.verb import Fault, TooSoon, WrongSettings, verb


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
