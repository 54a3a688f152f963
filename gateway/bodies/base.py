"""What all answers share, and what the gateway says of its own health."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all answers."""


class Items(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A list; `next_cursor` asks for the next part, null at the end. Each kind has a class of its own, named in OpenAPI."""

    items: list[T]
    next_cursor: str | None


class HealthBody(Body, frozen=True):
    """`checks` names every dependency that was asked."""

    status: str
    checks: dict[str, str]
