"""The operator's pages: log in, the sale windows, a new one, one sale live, its orders. Every action is an ordinary form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from gateway import operating, records
from gateway.api.accounts import attempt, crowd_of
from gateway.bodies.operator import FiguresBody
from gateway.bodies.problems import FieldFault
from gateway.figures import figures as live_figures
from gateway.identity import (
    Principal,
    end_browser_session,
    principal_of,
    require_live,
    require_operator,
    start_browser_session,
)
from gateway.inputs import Action, Credentials, NewSale
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
    visitor_of,
)
from gateway.pages.words import Words
from gateway.problems import Problem
from gateway.reading import check
from gateway.refusals import BadFields
from gateway.services import Services
from shop.accounts import sessions
from shop.orders.rules import OrderState
from shop.sales import rules
from waiting_room.window import Phase

NUMBERS = ("calls_per_minute", "capacity", "turn_window_s", "comeback_s", "hold_s", "pass_s")
MOMENTS = ("lobby_opens_at", "opens_at", "closes_at")
ORDER_STATES = tuple(state.value for state in OrderState)


async def _operator(request: AnyRequest, role: str = "viewer") -> Principal:
    """The operator who asks, whose session has not been ended meanwhile. Raises NotSignedIn or WrongRole."""
    services = services_for(request)
    return await services.threads(require_live, services, require_operator(request, role))


def _may_change(principal: Principal) -> bool:
    return principal.role != "viewer"


# ---------------------------------------------------------------- logging in and out


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


# ---------------------------------------------------------------- sale windows


@get("/operator", include_in_schema=False)
async def sales_page(request: AnyRequest, cursor: FromQuery[str | None] = None) -> Response[str]:
    """All sale windows, the newest first."""
    services, principal = services_for(request), await _operator(request)
    found = await services.threads(operating.list_sales, services, cursor)
    older = f"/operator?cursor={found.next_cursor}" if found.next_cursor else None
    return page(
        request,
        "operator/sales.html",
        sales=found.items,
        next_href=older,
        may_change=_may_change(principal),
    )


@get("/operator/sales/new", include_in_schema=False)
async def new_sale_page(request: AnyRequest) -> Response[str]:
    """The form of a new sale window."""
    await _operator(request, "operator")
    return _render_new(request, Form())


def _render_new(request: AnyRequest, form: Form, problem: Problem | None = None) -> Response[str]:
    return page(
        request,
        "operator/new.html",
        problem=problem,
        form=form,
        products=services_for(request).snapshot.products(),
        zone_name=visitor_of(request).words.zone_name,
    )


@post("/operator/sales/new", include_in_schema=False)
async def create_sale(request: AnyRequest) -> Response[Any]:
    """Open a new sale window."""
    services, form = services_for(request), await form_of(request)
    principal = await _operator(request, "operator")
    try:
        wanted = new_sale(form, visitor_of(request).words)
        sale = await services.threads(operating.create_sale, services, principal, wanted)
    except REFUSALS as error:
        return _render_new(request, form, _by_field(problem_from(error), form))
    return see_other(f"/operator/sales/{sale.slug}?done=create")


def new_sale(form: Form, words: Words) -> NewSale:
    """The sale as the form says it; times are meant in the language's own zone. Raises BadFields."""
    faults: list[FieldFault] = []
    fields: dict[str, Any] = {"slug": form["slug"].strip(), "title": form["title"].strip(), "mode": "fifo"}
    for name in MOMENTS:
        try:
            at = datetime.fromisoformat(form[name])
            fields[name] = at.replace(tzinfo=words.zone).astimezone(UTC)
        except (ValueError, OverflowError):  # no date, or one at the very ends of the calendar
            faults.append(FieldFault(field=name, message="must be a date and a time"))
    for name in NUMBERS:
        fields[name] = _whole(form, name, faults)
    fields["items"] = [
        {
            "product_id": product_id,
            "allotted": _whole(form, f"allotted-{product_id}", faults),
            "limit_per_buyer": _whole(form, f"limit-{product_id}", faults),
        }
        for product_id in allotted_products(form)
    ]
    if not fields["items"]:
        faults.append(FieldFault(field="items", message="allot units of at least one product"))
    if faults:
        raise BadFields(faults)
    return check({**fields, "draft": form["draft"] == "yes"}, NewSale)


def allotted_products(form: Form) -> list[str]:
    """The products that get units, in the order of the form."""
    prefix = "allotted-"
    return [
        name.removeprefix(prefix)
        for name, value in form.items()
        if name.startswith(prefix) and value not in ("", "0")
    ]


def _whole(form: Form, name: str, faults: list[FieldFault]) -> int:
    text = form[name].strip()
    if not text.isdecimal() or len(text) > 12:
        faults.append(FieldFault(field=name, message="must be a whole number"))
        return 0
    return int(text)


def _by_field(problem: Problem, form: Form) -> Problem:
    """Faults of `items.0.allotted` belong to the field of that product in the form."""
    named: dict[str, str] = {}
    for at, product_id in enumerate(allotted_products(form)):
        named |= {
            f"items.{at}.allotted": f"allotted-{product_id}",
            f"items.{at}.limit_per_buyer": f"limit-{product_id}",
            f"items.{at}.product_id": f"allotted-{product_id}",
        }
    errors = tuple(
        FieldFault(field=named.get(fault.field, fault.field), message=fault.message)
        for fault in problem.errors
    )
    return Problem(problem.status, problem.code, problem.title, problem.detail, errors, problem.retry_after_s)


# ---------------------------------------------------------------- one sale, live


@get("/operator/sales/{sale:str}", include_in_schema=False)
async def sale_page(request: AnyRequest, sale: FromPath[str], done: FromQuery[str] = "") -> Response[str]:
    """The figures of a sale, and what may be done to it."""
    return await _render_sale(request, await _operator(request), sale, done=done)


async def _render_sale(
    request: AnyRequest, principal: Principal, slug: str, *, done: str = "", problem: Problem | None = None
) -> Response[str]:
    services, words = services_for(request), visitor_of(request).words
    sale = await services.threads(operating.read_sale, services, slug)
    figures = await _figures(services, slug)
    control = rules.Control(sale.control)
    return page(
        request,
        "operator/sale.html",
        problem=problem,
        sale=sale,
        phase=figures.phase if figures else sale.phase,
        figures=figures,
        allowed={action.value for action, moves in rules.ACTIONS.items() if control in moves},
        may_change=_may_change(principal),
        done=words.action_word(done),
        phase_words=[(phase.value, words.phase_word(phase)) for phase in Phase],
        phase_meanings=[(phase.value, words.phase_meaning(phase)) for phase in Phase],
        order_states=ORDER_STATES,
    )


async def _figures(services: Services, slug: str) -> FiguresBody | None:
    """The live figures; None while a store does not answer: the operator can act all the same."""
    try:
        return await live_figures(services, slug)
    except REFUSALS as error:
        if problem_from(error).status != 503:
            raise
        return None


@post("/operator/sales/{sale:str}/actions/{action:str}", include_in_schema=False)
async def act(request: AnyRequest, sale: FromPath[str], action: FromPath[str]) -> Response[Any]:
    """Do one thing to a sale, and show what has become of it."""
    services, form = services_for(request), await form_of(request)
    principal = await _operator(request, "operator")
    try:
        await services.threads(operating.act, services, principal, sale, action, _params(action, form))
    except REFUSALS as error:
        return await _render_sale(request, principal, sale, problem=problem_from(error))
    return see_other(f"/operator/sales/{sale}?done={action}")


def _params(action: str, form: Form) -> Action:
    """What the action needs, from the form. Raises BadFields."""
    name = {"set-rate": "calls_per_minute", "set-capacity": "capacity"}.get(action)
    if name is not None:
        faults: list[FieldFault] = []
        value = _whole(form, name, faults)
        if faults:
            raise BadFields(faults)
        return check({name: value}, Action)
    if action == "announce":
        return check(
            {"message": {"ko": form["message_ko"].strip(), "en": form["message_en"].strip()}}, Action
        )
    return Action()


@get("/operator/sales/{sale:str}/orders", include_in_schema=False)
async def orders_page(
    request: AnyRequest,
    sale: FromPath[str],
    order_state: Annotated[str, QueryParameter(name="state")] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """The orders of a sale, the newest first, of one state or of all."""
    services = services_for(request)
    await _operator(request)
    chosen = order_state if order_state in ORDER_STATES else ""
    window = await services.threads(operating.read_sale, services, sale)
    found = await services.threads(records.list_orders, services, sale, chosen or None, cursor)
    older = (
        f"/operator/sales/{sale}/orders?state={chosen}&cursor={found.next_cursor}"
        if found.next_cursor
        else None
    )
    return page(
        request,
        "operator/orders.html",
        sale=window,
        orders=found.items,
        order_states=ORDER_STATES,
        chosen=chosen,
        next_href=older,
    )


HANDLERS: list[Any] = [
    *(login_page, log_in, log_out, sales_page, new_sale_page, create_sale, sale_page, act, orders_page)
]
