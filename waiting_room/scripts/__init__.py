"""The Lua scripts of the waiting room: one file is one atomic step, each with a header that says KEYS, ARGV, answer and cost.

`_shared.lua` is put in front of every script when it is loaded.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def source(name: str) -> str:
    """The whole text of a script, ready to be registered."""
    folder = files(__package__)
    return folder.joinpath("_shared.lua").read_text() + "\n" + folder.joinpath(f"{name}.lua").read_text()
