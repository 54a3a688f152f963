"""What is stuck and what to do about it, and whether the books add up."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from gateway import troubles
from gateway.pages.operator.door import may_change, operator_of
from gateway.pages.render import REFUSALS, AnyRequest, page, problem_from, see_other, services_for, visitor_of
from gateway.problems import Problem
from gateway.sessions import Principal

# What keeps the whole sale waiting first, then whose money waits, then the rest.
KINDS = ("lane", "paying_too_long", "suspended", "review", "effect", "unknown_callback", "job")


@get("/operator/stuck", include_in_schema=False)
async def stuck_page(request: AnyRequest, done: FromQuery[str] = "") -> Response[str]:
    """Everything that does not go on by itself."""
    return await _render(request, await operator_of(request), done=done)


@post("/operator/stuck/{outbox_id:int}/retry", include_in_schema=False)
async def retry(request: AnyRequest, outbox_id: FromPath[int]) -> Response[Any]:
    """Have something that was given up tried again."""
    services = services_for(request)
    principal = await operator_of(request, "operator")
    try:
        await services.threads(troubles.retry, services, principal, outbox_id)
    except REFUSALS as error:
        return await _render(request, principal, problem=problem_from(error))
    return see_other("/operator/stuck?done=retry")


@get("/operator/books", include_in_schema=False)
async def books_page(request: AnyRequest, run: FromQuery[str] = "") -> Response[str]:
    """The books compared, when asked for."""
    services = services_for(request)
    await operator_of(request)
    found = await services.threads(troubles.reconciliation, services) if run else None
    return page(request, "operator/books.html", found=found)


async def _render(
    request: AnyRequest, principal: Principal, *, done: str = "", problem: Problem | None = None
) -> Response[str]:
    services = services_for(request)
    found = await services.threads(troubles.list_stuck, services)
    return page(
        request,
        "operator/stuck.html",
        problem=problem,
        groups=[
            (kind, things) for kind in KINDS if (things := [one for one in found.items if one.kind == kind])
        ],
        may_change=may_change(principal),
        done=visitor_of(request).words.action_word(done),
    )


HANDLERS: list[Any] = [stuck_page, retry, books_page]
