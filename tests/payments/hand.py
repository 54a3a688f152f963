"""One duty of a worker or sweeper in a process of its own, so that a test can kill it in the middle: `take-in-late` or `drain SALE`.

python -m tests.payments.hand drain sale0000001
"""

from __future__ import annotations

import sys

from firstcome import wiring
from firstcome.settings import load_settings
from workers.drain import drain
from workers.sweeper import expire_holds, take_in_late


def main(duty: str, *words: str) -> None:
    """Do it once, with the product's own code on the settings of the environment."""
    runtime = wiring.runtime(load_settings(None))
    match duty:
        case "take-in-late":
            take_in_late(runtime)
        case "expire":
            expire_holds(runtime)
        case _:
            drain(runtime, *words)


if __name__ == "__main__":
    main(*sys.argv[1:])
