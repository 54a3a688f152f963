"""The lanes' Lua scripts: one file, one atomic step. Each file's header states KEYS, ARGV, what it returns and its cost.

`_shared.lua` is put in front of every script when it is loaded.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def source(name: str) -> str:
    """The text of one script by its file name without `.lua`, ready to be registered."""
    return "\n".join((FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in ("_shared", name))
