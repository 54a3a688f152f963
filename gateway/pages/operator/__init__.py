"""The operator's pages: log in, make and change a sale window, watch and steer it, look things up. Every action is an ordinary form."""

from __future__ import annotations

from typing import Any

from gateway.pages.operator import (
    cases,
    door,
    form,
    hands,
    live,
    preview,
    records,
    rehearsal,
    stock,
    troubles,
)

HANDLERS: list[Any] = [
    *door.HANDLERS,
    *form.HANDLERS,
    *preview.HANDLERS,
    *live.HANDLERS,
    *rehearsal.HANDLERS,
    *stock.HANDLERS,
    *cases.HANDLERS,
    *hands.HANDLERS,
    *records.HANDLERS,
    *troubles.HANDLERS,
]
