"""Every page of the gateway, for its composition root: `page_routes()` are the handlers, `problem_page` shows refusals."""

from __future__ import annotations

from typing import Any

from gateway.pages import account, buyer, checkout, demo, fairness, line, my_data, operator, orders, passes
from gateway.pages.assets import static_file
from gateway.pages.language import choose_language
from gateway.pages.render import problem_page

__all__ = ["page_routes", "problem_page"]


def page_routes(*, demo_mode: bool) -> list[Any]:
    """The handlers of all pages; the demo's own are there only in the demo."""
    rooms = [
        buyer,
        fairness,
        line,
        passes,
        checkout,
        orders,
        account,
        my_data,
        operator,
        *([demo] if demo_mode else []),
    ]
    return [static_file, choose_language, *(handler for room in rooms for handler in room.HANDLERS)]
