"""One sale, live: its figures, and everything that may be done to it. Each act is a form; the page works without a script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from gateway import operating
from gateway.bodies.operator import FiguresBody, OperatorItemBody, OperatorSaleBody
from gateway.bodies.problems import FieldFault
from gateway.figures import figures as live_figures
from gateway.inputs import Action, SaleChange
from gateway.pages.operator import fields
from gateway.pages.operator.door import may_change, operator_of
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
from gateway.problems import Problem
from gateway.reading import check
from gateway.refusals import BadFields
from gateway.services import Services
from gateway.sessions import Principal
from shop.orders.rules import OrderState
from shop.sales import rules
from waiting_room.window import Phase

ORDER_STATES = tuple(state.value for state in OrderState)
GRAVE = frozenset({"halt", "drain", "close", "cancel"})
BEFORE_OPENING = frozenset({"draft", "announced", "lobby"})


@get("/operator/sales/{sale:str}", include_in_schema=False)
async def sale_page(request: AnyRequest, sale: FromPath[str], done: FromQuery[str] = "") -> Response[str]:
    """The figures of a sale, and what may be done to it."""
    return await render_sale(request, await operator_of(request), sale, done=done)


async def render_sale(
    request: AnyRequest,
    principal: Principal,
    slug: str,
    *,
    done: str = "",
    problem: Problem | None = None,
    form: Form | None = None,
) -> Response[str]:
    """The page of a sale, with what was done or refused above it; `form` keeps what was typed. Raises UnknownSale."""
    services, words = services_for(request), visitor_of(request).words
    sale = await services.threads(operating.read_sale, services, slug)
    figures = await _figures(services, slug)
    phase = figures.phase if figures else sale.phase
    allowed = _allowed(sale, phase)
    zone = fields.HOME_ZONES[visitor_of(request).locale]
    return page(
        request,
        "operator/sale.html",
        problem=problem,
        sale=sale,
        typed=form or Form(),
        later=fields.filled(sale, (form or Form())["zone"] or zone),
        zones=list(dict.fromkeys((zone, *fields.ZONES))),
        phase=phase,
        figures=figures,
        slots=_slots(figures),
        units=_units(figures.stock if figures else sale.items),
        allowed=allowed,
        may_change=may_change(principal),
        done=words.action_word(done),
        phase_words=[(each.value, words.phase_word(each)) for each in Phase],
        phase_meanings=[(each.value, words.phase_meaning(each)) for each in Phase],
        limits=words.limits(),
        grave_allowed=bool(allowed & GRAVE),
        order_states=ORDER_STATES,
    )


def _slots(figures: FiguresBody | None) -> int | None:
    """Places in checkout that are taken."""
    return figures.line.called + figures.line.shopping + figures.line.ordering if figures else None


def _units(items: Sequence[OperatorItemBody]) -> dict[str, int]:
    """The units of all products together."""
    sums = {name: sum(getattr(item, name) for item in items) for name in ("allotted", "held", "sold")}
    return sums | {"free": sums["allotted"] - sums["held"] - sums["sold"]}


def _allowed(sale: OperatorSaleBody, phase: str) -> set[str]:
    """What is worth a button just now; the shop decides again."""
    control = rules.Control(sale.control)
    allowed = {action.value for action, moves in rules.ACTIONS.items() if control in moves}
    if control not in rules.ENDED and sale.closes_at > datetime.now(UTC):
        allowed |= {"edit"}
        allowed |= {"allot"} if control in rules.ALLOTTABLE else set()
        allowed |= {"postpone"} if phase in BEFORE_OPENING else set()
    return allowed if phase in BEFORE_OPENING else allowed - {"open"}


async def _figures(services: Services, slug: str) -> FiguresBody | None:
    """The live figures; None while a store does not answer: the operator can act all the same."""
    try:
        return await live_figures(services, slug)
    except REFUSALS as error:
        if problem_from(error).status != 503:
            raise
        return None


# ---------------------------------------------------------------- acting


@post("/operator/sales/{sale:str}/actions/{action:str}", include_in_schema=False)
async def act(request: AnyRequest, sale: FromPath[str], action: FromPath[str]) -> Response[Any]:
    """Do one thing to a sale, and show what has become of it."""
    services, form = services_for(request), await form_of(request)
    principal = await operator_of(request, "operator")
    try:
        await services.threads(operating.act, services, principal, sale, action, _params(action, form))
    except REFUSALS as error:
        problem = fields.by_field(problem_from(error), form)
        return await render_sale(request, principal, sale, problem=problem, form=form)
    return see_other(f"/operator/sales/{sale}?done={action}")


def _params(action: str, form: Form) -> Action:
    """What the action needs, from the form. Raises BadFields."""
    reader = fields.Reader(form, ())
    match action:
        case "set-rate":
            values: dict[str, Any] = {"calls_per_minute": reader.whole("calls_per_minute")}
        case "set-capacity":
            values = {"capacity": reader.whole("capacity")}
        case "extend-holds":
            values = {"minutes": reader.whole("minutes"), "reason": form["reason"].strip()}
        case "announce":
            values = {"message": {"ko": form["message_ko"].strip(), "en": form["message_en"].strip()}}
        case _:
            values = {}
    if reader.faults:
        raise BadFields(reader.faults)
    return check(values, Action)


@post("/operator/sales/{sale:str}/postpone", include_in_schema=False)
async def postpone(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """Let a sale start later, and end later by as much, and tell those who wait."""
    services, form = services_for(request), await form_of(request)
    principal = await operator_of(request, "operator")
    try:
        present = await services.threads(operating.read_sale, services, sale)
        change = _later(form, present)
        version = int(form["version"]) if form["version"].isdecimal() and len(form["version"]) < 10 else 0
        await services.threads(operating.change_sale, services, principal, sale, version, change)
    except REFUSALS as error:
        problem = fields.by_field(problem_from(error), form)
        return await render_sale(request, principal, sale, problem=problem, form=form)
    return see_other(f"/operator/sales/{sale}?done=postpone")


def _later(form: Form, present: OperatorSaleBody) -> SaleChange:
    """Raises BadFields."""
    reader = fields.Reader(form, ())
    opens_at = reader.moment("opens_at")
    if opens_at is not None and opens_at <= present.opens_at:
        reader.faults.append(FieldFault(field="opens_at", message="must be later than the sale starts now"))
    if reader.faults or opens_at is None:
        raise BadFields(reader.faults)
    values: dict[str, Any] = {"opens_at": opens_at}
    if form["end_too"] == "yes":
        values["closes_at"] = present.closes_at + (opens_at - present.opens_at)
    texts = {language: form[f"message_{language}"].strip() for language in ("ko", "en")}
    if any(texts.values()):
        values["message"] = texts
    return check(values, SaleChange)


HANDLERS: list[Any] = [sale_page, act, postpone]
