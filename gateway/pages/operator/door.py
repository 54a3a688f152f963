"""Operators log in and out; who of them asks."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery

from gateway.cookies import end_browser_session, start_browser_session
from gateway.identity import principal_of, require_live, require_operator
from gateway.inputs import Credentials
from gateway.networks import crowd_of
from gateway.onward import same_site
from gateway.pages.account import login_again
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    Form,
    form_of,
    page,
    problem_from,
    see_other,
    services_for,
)
from gateway.reading import check
from gateway.sessions import Principal
from gateway.signing_in import attempt
from shop.accounts import sessions


async def operator_of(request: AnyRequest, role: str = "viewer") -> Principal:
    """The operator who asks, whose session has not been ended meanwhile. Raises NotSignedIn or WrongRole."""
    services = services_for(request)
    return await services.threads(require_live, services, require_operator(request, role))


def may_change(principal: Principal) -> bool:
    """Whether buttons are worth showing; whether they work is decided by the role that each handler asks for."""
    return principal.role != "viewer"


@get("/operator/login", include_in_schema=False)
async def login_page(request: AnyRequest, next: FromQuery[str] = "/operator") -> Response[str]:
    """The form of an operator's log-in."""
    onward = same_site(next, "/operator")
    return page(request, "account/login.html", form=Form(), next=onward, done="", for_operator=True)


@post("/operator/login", include_in_schema=False)
async def log_in(request: AnyRequest) -> Response[Any]:
    """Log an operator in."""
    services, form = services_for(request), await form_of(request)
    try:
        given = check({"email": form["email"], "password": form["password"]}, Credentials)
        signed_in = await attempt(services, sessions.operator_sign_in, given, crowd_of(request))
    except REFUSALS as error:
        return login_again(request, form, problem_from(error), for_operator=True)
    answer = see_other(same_site(form["next"], "/operator"))
    start_browser_session(services, answer, signed_in)
    return answer


@post("/operator/logout", include_in_schema=False)
async def log_out(request: AnyRequest) -> Response[Any]:
    """End the operator's session, here and in the books."""
    services, principal = services_for(request), principal_of(request)
    answer = see_other("/operator/login")
    if principal is not None:
        await services.threads(sessions.sign_out, services.db, principal.session_id)
    end_browser_session(services, answer, "operator")
    return answer


HANDLERS: list[Any] = [login_page, log_in, log_out]
