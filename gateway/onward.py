"""Where an answer may lead its reader on to. Pure."""

from __future__ import annotations


def same_site(path: str | None, otherwise: str = "/") -> str:
    """A path of this site to go on to; anything that could lead elsewhere becomes `otherwise`."""
    if not path or not path.startswith("/") or path.startswith("//") or len(path) > 500:
        return otherwise
    unsafe = "\\" in path or any(ord(char) <= 32 or ord(char) == 127 for char in path)
    return otherwise if unsafe else path
