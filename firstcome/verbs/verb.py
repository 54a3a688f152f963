"""What all verbs share: expected faults in one line on stderr, and exit codes.

Exit codes: 0 done · 1 a fault that one line on stderr names · 2 wrong usage or wrong settings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from redis.exceptions import RedisError

from firstcome.private_server import ServerFault
from firstcome.settings import SettingsFault
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


def verb(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a verb, with its faults in one line each."""

    def made(function: Callable[..., None]) -> click.Command:
        return click.command(name, epilog=EPILOG)(one_line_faults(function))

    return made
