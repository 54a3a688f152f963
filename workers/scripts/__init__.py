"""The lanes' Lua scripts: one file, one atomic step. Each file's header states KEYS, ARGV, what it returns and its cost."""

from __future__ import annotations

from pathlib import Path


def source(name: str) -> str:
    """The text of one script by its file name without `.lua`."""
    return (Path(__file__).parent / f"{name}.lua").read_text(encoding="utf-8")
