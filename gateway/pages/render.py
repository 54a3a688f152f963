"""From a template and its values to an answer: what every page shares stands here. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from gateway.bodies.problems import FieldFault
from gateway.csrf import csrf_token_for
from gateway.identity import kind_of_path, principal_of
from gateway.onward import same_site
from gateway.pages.language import LOCALES, NAMES, environment, locale_of, words_in
from gateway.problem_answers import headers_of
from gateway.problems import Problem, problem_of
from gateway.reading import read_form
from gateway.refusals import GatewayRefused
from gateway.services import Services
from gateway.sessions import Principal
from shop.errors import ShopError
from waiting_room.refusals import RoomError
from workers.refusals import WorkersError

if TYPE_CHECKING:
    from gateway.pages.words import Words

AnyRequest = Request[Any, Any, Any]

# Everything that is refused on purpose, and that a form's page can say above the form.
REFUSALS = (GatewayRefused, ShopError, RoomError, WorkersError)

# A stranger's public page may be kept for a second by a proxy; it depends on the language alone.
PUBLIC = {"Cache-Control": "public, max-age=1", "Vary": "Accept-Language, Cookie, Accept-Encoding"}


class Form(dict[str, str]):
    """What was typed into a form; a field that was not sent is empty."""

    def __missing__(self, _: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks, and in which language."""

    principal: Principal | None
    locale: str
    words: Words

    @property
    def is_buyer(self) -> bool:
        return self.principal is not None and self.principal.kind == "buyer"


def services_for(request: AnyRequest) -> Services:
    services: Services = request.app.state.services
    return services


async def services_with(request: AnyRequest, slug: str) -> Services:
    """The services, once this process knows the sale of the path. Raises UnknownSale or SnapshotStale."""
    services = services_for(request)
    await services.snapshot.find(slug)
    return services


def visitor_of(request: AnyRequest) -> Visitor:
    """Who looks; a session that cannot be read counts as none, since a page is for everybody."""
    try:
        principal = principal_of(request)
    except GatewayRefused:
        principal = None
    locale = locale_of(request)
    return Visitor(principal, locale, words_in(locale))


async def form_of(request: AnyRequest) -> Form:
    """The fields of a form as text; whatever else was sent is left out."""
    return Form({name: value for name, value in (await read_form(request)).items() if isinstance(value, str)})


def count_of(text: str) -> int:
    """How many of something were typed; 0 for what is no number, or one that nobody means (reading it would take long)."""
    return int(text) if text.isdecimal() and len(text) < 5 else 0


def page(
    request: AnyRequest,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    problem: Problem | None = None,
    **values: Any,
) -> Response[str]:
    """The template as an answer. With a `problem` it carries that problem's status and headers."""
    visitor = visitor_of(request)
    now = datetime.now(UTC)
    shown = worded(problem, visitor.words) if problem else None
    text = (
        environment(visitor.locale)
        .get_template(template)
        .render(
            **_shared(request, visitor), now=now, now_ms=int(now.timestamp() * 1000), problem=shown, **values
        )
    )
    answer_headers = {"Cache-Control": "no-store", **(headers or {})}
    if problem is not None:
        status = problem.status
        answer_headers |= headers_of(problem)
        answer_headers.pop("WWW-Authenticate", None)
    return Response(text, status_code=status, media_type="text/html", headers=answer_headers)


def _shared(request: AnyRequest, visitor: Visitor) -> dict[str, Any]:
    services = services_for(request)
    path = request.scope["path"]
    operator = kind_of_path(path) == "operator"
    other = LOCALES[1 - LOCALES.index(visitor.locale)]
    return {
        "locale": visitor.locale,
        "other_locale": other,
        "other_locale_name": NAMES[other],
        "path": path if request.scope["method"] == "GET" else same_site(_referrer(request), path),
        "operator": operator,
        "buyer": visitor.is_buyer,
        "signed_in": visitor.principal is not None,
        "verified": visitor.principal is not None and visitor.principal.verified,
        "links": visitor.words.links(operator=operator, signed_in=visitor.principal is not None),
        "csrf_token": csrf_token_for(request, visitor.principal),
        "demo": services.settings.demo,
    }


def _referrer(request: AnyRequest) -> str:
    """The path of the page that a form was on; empty when the browser does not say, or nothing that can be read."""
    try:
        return urlsplit(request.headers.get("referer", "")).path
    except ValueError:
        return ""


def worded(problem: Problem, words: Words) -> Problem:
    """The problem in the reader's language."""
    errors = tuple(
        FieldFault(field=fault.field, message=words.field_fault(fault.field, fault.message))
        for fault in problem.errors
    )
    detail = words.problem_detail(problem.code) or (
        problem.detail if words.locale == "en" and not errors else None
    )
    return replace(
        problem, title=words.problem_title(problem.code, problem.title), detail=detail, errors=errors
    )


def problem_page(request: AnyRequest, problem: Problem) -> Response[Any]:
    """A refusal or a fault as a page; who is not logged in is led to the log-in, and back again after it."""
    path = request.scope["path"]
    safe = request.scope["method"] in ("GET", "HEAD")
    if problem.code == "not_signed_in":
        here = path if safe else same_site(_referrer(request))
        return see_other(f"{login_path(path)}?next={quote(here)}")
    status = None if problem.retry_after_s is None else max(2, problem.retry_after_s)
    back = None if safe else same_site(_referrer(request))
    return page(
        request, "problem.html", problem=problem, retry_after_s=status, safe_to_repeat=safe, back=back
    )


def problem_from(error: Exception) -> Problem:
    """What an expected refusal means for the reader."""
    return problem_of(error)


def login_path(path: str) -> str:
    return "/operator/login" if kind_of_path(path) == "operator" else "/login"


def see_other(path: str) -> Redirect:
    """On to another page of this site, by GET."""
    return Redirect(path, status_code=303, headers={"Cache-Control": "no-store"})


def not_found() -> HTTPException:
    return HTTPException(status_code=404)
