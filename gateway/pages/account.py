"""Signing up, confirming the address, logging in and out, and a new password."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromQuery

from gateway.cookies import cookie, cookie_name, end_browser_session, start_browser_session
from gateway.identity import principal_of
from gateway.inputs import Credentials, NewAccount, ResetConfirmation, ResetRequest, Verification
from gateway.networks import client_of, crowd_of, network_of
from gateway.onward import same_site
from gateway.pages.language import locale_of
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
from gateway.problems import Problem
from gateway.reading import check
from gateway.services import Services
from gateway.signing_in import attempt
from shop.accounts import reset, sessions, signup
from shop.accounts.rules import BadCode, Unverified
from shop.vault import Unreadable

# The address that somebody has just signed up or asked a code with, sealed, so that the next page can fill it in.
PENDING, PENDING_S = "pending", 1800
_SEALED_AS = "page:pending-email"


def _pending(request: AnyRequest) -> Form:
    """A form with the remembered address, if there is one."""
    services = services_for(request)
    kept = request.cookies.get(cookie_name(services.settings, PENDING), "")
    try:
        return Form(email=services.vault.open(base64.urlsafe_b64decode(kept), _SEALED_AS)) if kept else Form()
    except (ValueError, Unreadable):  # changed, sealed with a key that is gone, or not ours
        return Form()


def _remember_email(answer: Response[Any], services: Services, email: str) -> None:
    sealed = base64.urlsafe_b64encode(services.vault.seal(email, _SEALED_AS)).decode()
    answer.set_cookie(cookie(services.settings, PENDING, sealed, PENDING_S))


def _with_next(path: str, onward: str) -> str:
    return f"{path}?next={quote(onward)}" if onward != "/" else path


# ---------------------------------------------------------------- signing up


@get("/signup", include_in_schema=False)
async def signup_page(request: AnyRequest, next: FromQuery[str] = "/") -> Response[str]:
    """The form of a new account."""
    return page(request, "account/signup.html", form=Form(), next=same_site(next))


@post("/signup", include_in_schema=False)
async def sign_up(request: AnyRequest) -> Response[Any]:
    """Ask for an account; whoever has one already learns it by mail alone."""
    services, form = services_for(request), await form_of(request)
    onward = same_site(form["next"])
    fields = {name: form[name] for name in ("email", "password", "name", "phone")}
    try:
        wanted = check({**fields, "locale": locale_of(request)}, NewAccount)
        services.letters.admit(wanted.email, network_of(client_of(request)))
        await services.hashing.run(
            signup.sign_up,
            services.db,
            services.kit,
            wanted.email,
            wanted.password,
            wanted.name,
            wanted.phone,
            None,
            wanted.locale,
        )
    except REFUSALS as error:
        return page(request, "account/signup.html", problem=problem_from(error), form=form, next=onward)
    services.ring_outbox()
    answer = see_other(_with_next("/verify", onward))
    _remember_email(answer, services, wanted.email)
    return answer


@get("/verify", include_in_schema=False)
async def verify_page(request: AnyRequest, next: FromQuery[str] = "/") -> Response[str]:
    """Where the code of the mail is typed."""
    return page(request, "account/verify.html", form=_pending(request), next=same_site(next))


@post("/verify", include_in_schema=False)
async def verify(request: AnyRequest) -> Response[Any]:
    """Confirm the address."""
    services, form = services_for(request), await form_of(request)
    onward, network = same_site(form["next"]), crowd_of(request)
    try:
        given = check({"email": form["email"], "code": form["code"].strip()}, Verification)
        services.attempts.admit(given.email, network)
        await services.threads(signup.verify, services.db, services.kit, given.email, given.code)
    except REFUSALS as error:
        if isinstance(error, BadCode):
            services.attempts.failed(form["email"], network)
        return page(request, "account/verify.html", problem=problem_from(error), form=form, next=onward)
    answer = see_other("/login?done=verified" + (f"&next={quote(onward)}" if onward != "/" else ""))
    _remember_email(answer, services, given.email)
    return answer


# ---------------------------------------------------------------- logging in and out


@get("/login", include_in_schema=False)
async def login_page(
    request: AnyRequest, next: FromQuery[str] = "/", done: FromQuery[str] = ""
) -> Response[str]:
    """The form of a log-in."""
    form = _pending(request) if done else Form()
    return page(request, "account/login.html", form=form, next=same_site(next), done=done, for_operator=False)


@post("/login", include_in_schema=False)
async def log_in(request: AnyRequest) -> Response[Any]:
    """Log a buyer in. An address that is not confirmed yet gets a new code and the page to type it."""
    services, form = services_for(request), await form_of(request)
    onward = same_site(form["next"])
    try:
        given = check({"email": form["email"], "password": form["password"]}, Credentials)
        signed_in = await attempt(services, sessions.sign_in, given, crowd_of(request))
    except Unverified:
        await services.threads(signup.send_code_again, services.db, services.kit, form["email"])
        services.ring_outbox()
        answer = see_other(_with_next("/verify", onward))
        _remember_email(answer, services, form["email"])
        return answer
    except REFUSALS as error:
        return login_again(request, form, problem_from(error), for_operator=False)
    answer = see_other(onward)
    start_browser_session(services, answer, signed_in)
    answer.set_cookie(cookie(services.settings, PENDING, "", 0))
    return answer


def login_again(request: AnyRequest, form: Form, problem: Problem, *, for_operator: bool) -> Response[str]:
    """The log-in with what was refused above it."""
    onward = same_site(form["next"], "/operator" if for_operator else "/")
    return page(
        request,
        "account/login.html",
        problem=problem,
        form=form,
        next=onward,
        done="",
        for_operator=for_operator,
    )


@post("/logout", include_in_schema=False)
async def log_out(request: AnyRequest) -> Response[Any]:
    """End the session, here and in the books."""
    services, principal = services_for(request), principal_of(request)
    answer = see_other("/")
    if principal is not None:
        await services.threads(sessions.sign_out, services.db, principal.session_id)
    end_browser_session(services, answer)
    return answer


# ---------------------------------------------------------------- a new password


@get("/reset", include_in_schema=False)
async def reset_page(request: AnyRequest, step: FromQuery[str] = "") -> Response[str]:
    """Ask for a code, or use it."""
    return page(request, "account/reset.html", form=_pending(request), step=step)


@post("/reset", include_in_schema=False)
async def ask_reset(request: AnyRequest) -> Response[Any]:
    """Have a code sent, if we know the address; nobody is told whether we do."""
    services, form = services_for(request), await form_of(request)
    try:
        given = check({"email": form["email"]}, ResetRequest)
        services.letters.admit(given.email, network_of(client_of(request)))
        await services.threads(reset.request_reset, services.db, services.kit, given.email)
    except REFUSALS as error:
        return page(request, "account/reset.html", problem=problem_from(error), form=form, step="")
    services.ring_outbox()
    answer = see_other("/reset?step=sent")
    _remember_email(answer, services, given.email)
    return answer


@post("/reset/confirm", include_in_schema=False)
async def confirm_reset(request: AnyRequest) -> Response[Any]:
    """Set the new password."""
    services, form = services_for(request), await form_of(request)
    network = crowd_of(request)
    fields = {"email": form["email"], "code": form["code"].strip(), "password": form["password"]}
    try:
        given = check(fields, ResetConfirmation)
        services.attempts.admit(given.email, network)
        await services.hashing.run(
            reset.confirm_reset, services.db, services.kit, given.email, given.code, given.password
        )
    except REFUSALS as error:
        if isinstance(error, BadCode):
            services.attempts.failed(form["email"], network)
        return page(request, "account/reset.html", problem=problem_from(error), form=form, step="code")
    return see_other("/login?done=reset")


HANDLERS: list[Any] = [
    *(signup_page, sign_up, verify_page, verify, login_page, log_in, log_out),
    *(reset_page, ask_reset, confirm_reset),
]
