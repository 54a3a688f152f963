"""A refusal as the client reads it."""

from __future__ import annotations

from gateway.bodies.base import Body


class FieldFault(Body, frozen=True):
    """One bad field of a request; `field` is its path, such as `items.0.allotted`."""

    field: str
    message: str


class ProblemBody(Body, frozen=True):
    """RFC 9457 problem details with a stable `code`."""

    type: str
    title: str
    status: int
    code: str
    instance: str
    detail: str | None = None
    errors: list[FieldFault] | None = None
    current: str | None = None
    wanted: str | None = None
    failing: list[str] | None = None
