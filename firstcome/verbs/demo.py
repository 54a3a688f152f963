"""The verbs of a demo."""

from __future__ import annotations

import click

from firstcome.settings import load_settings_or_demo
from firstcome.verbs.verb import Fault, verb


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
