"""The waiting page: the buyer's place, and the forms by which it is claimed, extended and left. Works without a script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from gateway import line
from gateway.bodies.line import TicketBody
from gateway.cookies import cookie, cookie_name
from gateway.identity import principal_of
from gateway.pages.passes import keep_way_back, onward, remember_pass, ticket_token
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    Visitor,
    page,
    problem_from,
    see_other,
    services_with,
    visitor_of,
)
from gateway.pages.words import face_of
from gateway.problems import Problem
from gateway.refusals import NotSignedIn, NotVerified, TooManyPolls
from gateway.services import Services
from shop.sales.reading import Sale
from waiting_room.refusals import NoTicket
from waiting_room.ticket import is_guest

# States after which nothing changes by itself.
ENDED = frozenset({"done", "left", "lapsed", "closed"})
# Without a script the page loads itself anew; more often than this nobody could use a form.
SLOWEST_REFRESH_S = 30
FASTEST_REFRESH_S = {"called": 8, "admitted": 15}
# Of pages that are loaded all at once eight are answered each time.
MOST_WAITS = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """The way from joining to the front: `percent` of it is done, the marker stands at `x` percent of the track."""

    start: int
    percent: float

    @property
    def x(self) -> float:
        return 2 + self.percent * 0.9


def progress(place: TicketBody, start: int | None) -> Progress:
    """How far the buyer has come; `start` is how many were ahead when they joined, if this browser remembers."""
    ahead = place.ahead or 0
    begun = max(ahead, start if start is not None else (place.number or 1) - 1)
    return Progress(begun, round(100 * (begun - ahead) / begun, 2) if begun else 100.0)


def refresh_s(place: TicketBody) -> int | None:
    """Seconds until the page without a script looks again; None when there is nothing to wait for."""
    if place.state in ENDED:
        return None
    wished = ceil(place.poll_after_ms / 1000)
    return max(FASTEST_REFRESH_S.get(place.state, 3), min(SLOWEST_REFRESH_S, wished))


@get("/sales/{sale:str}/line", include_in_schema=False)
async def line_page(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """My place in the line; without one, back to the sale. Whoever comes from a site's gate brings the way back along."""
    if "return" in request.query_params:
        return await keep_way_back(request, sale)
    try:
        return await render_line(request, sale)
    except NoTicket:
        return see_other(f"/sales/{sale}")


async def render_line(request: AnyRequest, slug: str, problem: Problem | None = None) -> Response[str]:
    """The waiting page, with what was refused above it. Raises NoTicket, UnknownSale, RoomUnavailable."""
    services, visitor = await services_with(request, slug), visitor_of(request)
    place = await _look(services, slug, visitor, ticket_token(request, services, slug))
    sale = services.snapshot.sale(slug)
    start = request.cookies.get(cookie_name(services.settings, f"start_{sale.sale_id}"), "")
    way = progress(place, int(start) if start.isdecimal() and len(start) < 10 else None)
    goal = onward(request, services, slug)
    values = line_values(services, visitor, sale, place, way, to_site=not goal.endswith("/checkout"))
    answer = page(request, "buyer/line.html", problem=problem, onward=goal, **values)
    remember_place(request, answer, services, place.sale, place.ticket)
    return answer


def line_values(
    services: Services,
    visitor: Visitor,
    sale: Sale,
    place: TicketBody,
    way: Progress,
    *,
    to_site: bool = False,
) -> dict[str, Any]:
    """What the template of the waiting page shows. `to_site`: the turn leads on to the site that the buyer came from."""
    words = visitor.words
    sentences = dict(words.sentences())
    reason = place.estimate.reason if place.estimate else None
    face = face_of(place.state, reason.code if reason else None, place.outcome)
    key = "title-lobby" if face in ("waiting", "paused") and place.ahead is None else f"title-{face}"
    left = words.time_left(place.turn_expires_at, datetime.now(UTC)) if place.turn_expires_at else ""
    title = sentences[key].replace("{ahead}", words.number(place.ahead or 0)).replace("{left}", left)
    return {
        "sale": sale,
        "place": place,
        "face": face,
        "reason": reason,
        "title": f"{title} · {sale.title}",
        "refresh_s": refresh_s(place),
        "poll_ceiling_ms": services.settings.poll_ceiling_ms,
        "start_ahead": way.start,
        "progress": way.percent,
        "track_x": way.x,
        "headlines": words.headlines(to_site=to_site),
        "leads": words.leads(drawn=sale.draw is not None, to_site=to_site),
        "outlooks": words.outlooks(),
        "reasons": words.reasons(),
        "sentences": words.sentences(),
        "words": words.estimate_words(),
        "message": getattr(place.message, visitor.locale, "") if place.message else "",
        "turn_window_s": sale.turn_window_s,
        "comeback_s": sale.comeback_s,
        "claimable": visitor.is_buyer,
        "guest": is_guest(place.ticket_id),
    }


async def _look(services: Services, slug: str, visitor: Visitor, token: str | None) -> TicketBody:
    """My place. A page that is loaded too often shows what this process knows, or waits its turn, instead of a problem."""
    for _ in range(MOST_WAITS):
        try:
            return await line.look(services, slug, visitor.principal, token)
        except TooManyPolls as error:
            known = line.known(services, slug, visitor.principal, token)
            if known is not None:
                return known
            await asyncio.sleep(error.retry_after_s)
    return await line.look(services, slug, visitor.principal, token)


def remember_place(
    request: AnyRequest,
    answer: Response[Any],
    services: Services,
    slug: str,
    ticket: str,
    *,
    ahead: int | None = None,
) -> None:
    """Let the browser keep its ticket, and at the beginning how many were `ahead`."""
    sale = services.snapshot.sale(slug)
    life_s = max(3600, int((sale.closes_at - datetime.now(UTC)).total_seconds()) + 3600)
    if request.cookies.get(cookie_name(services.settings, f"ticket_{sale.sale_id}")) != ticket:
        answer.set_cookie(cookie(services.settings, f"ticket_{sale.sale_id}", ticket, life_s))
    if ahead is not None:
        answer.set_cookie(cookie(services.settings, f"start_{sale.sale_id}", str(ahead), life_s))


# ---------------------------------------------------------------- forms


@post("/sales/{sale:str}/claim", include_in_schema=False)
async def claim(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """Start the checkout."""
    services, principal = await services_with(request, sale), principal_of(request)
    try:
        admission = await line.claim(services, sale, principal, ticket_token(request, services, sale))
    except NotSignedIn:
        return see_other(f"/login?next=/sales/{sale}/line")
    except NotVerified:
        return see_other(f"/verify?next=/sales/{sale}/line")
    except NoTicket:
        return see_other(f"/sales/{sale}")
    except REFUSALS as error:
        return await render_line(request, sale, problem_from(error))
    answer = see_other(onward(request, services, sale))
    remember_pass(answer, services, sale, admission)
    return answer


@post("/sales/{sale:str}/extend", include_in_schema=False)
async def extend(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """One more turn window."""
    return await _with_place(request, sale, line.extend)


@post("/sales/{sale:str}/leave", include_in_schema=False)
async def leave(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """Give the place up."""
    return await _with_place(request, sale, line.leave)


async def _with_place(request: AnyRequest, sale: str, act: Callable[..., Awaitable[Any]]) -> Response[Any]:
    """Act on the place of whoever asks, and show it again; without a place, show the sale."""
    services = await services_with(request, sale)
    try:
        await act(services, sale, principal_of(request), ticket_token(request, services, sale))
    except NoTicket:
        return see_other(f"/sales/{sale}")
    except REFUSALS as error:
        return await render_line(request, sale, problem_from(error))
    return see_other(f"/sales/{sale}/line")


HANDLERS: list[Any] = [line_page, claim, extend, leave]
