"""Problems as answers: `application/problem+json` (RFC 9457) for programs, a page for people.

The pages' look comes from the function that `app.state.render_problem` holds. `problems.py` says which problem an exception is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from litestar import Request, Response

from gateway.bodies.problems import ProblemBody
from gateway.plain import NO_STORE, Answer
from gateway.problems import BASES, FAULT, Problem, problem_of

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_PROBLEM = ((b"content-type", MEDIA_TYPE.encode()), NO_STORE)

AnyRequest = Request[Any, Any, Any]


def body_of(problem: Problem, instance: str) -> ProblemBody:
    """The problem as the contract shows it; `instance` is the path that was asked, without its query."""
    return ProblemBody(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        code=problem.code,
        instance=instance,
        detail=problem.detail,
        errors=list(problem.errors) or None,
        current=problem.extra.get("current"),
        wanted=problem.extra.get("wanted"),
        failing=problem.extra.get("failing"),
    )


def headers_of(problem: Problem) -> dict[str, str]:
    """What goes out beside a problem, as JSON or as a page."""
    return {"Cache-Control": "no-store", **_own_headers_of(problem)}


def _own_headers_of(problem: Problem) -> dict[str, str]:
    headers = dict(problem.headers)
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    return headers


def problem_response(problem: Problem, instance: str) -> Response[bytes]:
    """The problem as `application/problem+json`."""
    return Response(
        msgspec.json.encode(body_of(problem, instance)),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers_of(problem),
    )


def problem_answer(error: Exception, path: str) -> Answer:
    """The same in plain ASGI, for the path that was asked."""
    problem = problem_of(error)
    if problem.status == FAULT.status:
        log.error("fault", path=path, exc_info=error)
    own = tuple((name.lower().encode(), value.encode()) for name, value in _own_headers_of(problem).items())
    return Answer(problem.status, _PROBLEM, msgspec.json.encode(body_of(problem, path)), own)


PageRenderer = Callable[[AnyRequest, Problem], Response[Any]]
_PROGRAMS = (
    "/api/",
    "/health/",
    "/metrics",
    "/schema",
    "/.well-known/",
    "/demo/mail.json",
    "/gate/verify",
    "/gate/exchange",
)


def is_page(path: str) -> bool:
    """Whether people look at this path; everything else is read by programs."""
    return not path.startswith(_PROGRAMS)


def answer(request: AnyRequest, error: Exception) -> Response[Any]:
    """The exception handler of the whole application."""
    problem = problem_of(error)
    path = request.scope["path"]
    if problem.status == FAULT.status:
        log.error(
            "fault", method=request.scope["method"], route=request.scope.get("path_template"), exc_info=error
        )
    render: PageRenderer | None = request.app.state.get("render_problem")
    if render is not None and is_page(path):
        return render(request, problem)
    return problem_response(problem, path)


def handlers() -> dict[int | type[Exception], Any]:
    """Litestar's exception handlers: one function for every base error."""
    return dict.fromkeys(BASES, answer)
