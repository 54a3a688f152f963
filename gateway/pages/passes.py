"""Ticket and pass that this browser holds, and where a pass leads: to our checkout, or back to the site from whose gate the buyer came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from firstcome_gate import names
from gateway import gate, line
from gateway.bodies.line import PassBody
from gateway.cookies import cookie, cookie_name
from gateway.gate import WayBack
from gateway.identity import require_buyer
from gateway.pages.render import AnyRequest, see_other, services_with
from gateway.services import Services
from gateway.sessions import Principal
from waiting_room.passes import Pass
from waiting_room.refusals import NoTicket


def pass_token(request: AnyRequest, services: Services, slug: str) -> str | None:
    """The pass of the sale that this browser holds, good or not."""
    name = f"pass_{services.snapshot.sale(slug).sale_id}"
    return request.cookies.get(cookie_name(services.settings, name)) or None


def pass_of(request: AnyRequest, services: Services, slug: str) -> Pass | None:
    """The good pass of the sale that this browser holds."""
    token = pass_token(request, services, slug)
    return gate.read_pass(services, services.snapshot.sale(slug).sale_id, token)


def remember_pass(answer: Response[Any], services: Services, slug: str, admission: PassBody) -> None:
    """Let the browser keep its pass for as long as it is good."""
    sale = services.snapshot.sale(slug)
    life_s = max(1, int((admission.expires_at - datetime.now(UTC)).total_seconds()))
    answer.set_cookie(cookie(services.settings, f"pass_{sale.sale_id}", admission.pass_, life_s))


async def fetch_pass(
    request: AnyRequest, services: Services, slug: str, principal: Principal
) -> Response[Any]:
    """Get the pass of an admitted buyer once more and come back here; whoever is only called claims on the line's page.

    On another device the same place has the same pass.
    """
    back, ticket = see_other(f"/sales/{slug}/line"), ticket_token(request, services, slug)
    try:
        place = await line.look(services, slug, principal, ticket)
    except NoTicket:
        return back
    if place.state != "admitted":
        return back
    admission = await line.claim(services, slug, principal, ticket)
    if admission.pass_ == pass_token(
        request, services, slug
    ):  # the browser takes it, or it would go in a circle
        return back
    answer = see_other(request.scope["path"])
    remember_pass(answer, services, slug, admission)
    return answer


def ticket_token(request: AnyRequest, services: Services, slug: str) -> str | None:
    """The ticket that this browser holds for the sale."""
    name = f"ticket_{services.snapshot.sale(slug).sale_id}"
    return request.cookies.get(cookie_name(services.settings, name)) or None


# ---------------------------------------------------------------- back to a site


async def keep_way_back(request: AnyRequest, slug: str) -> Response[Any]:
    """Let the browser keep the sealed way back while its buyer signs in, joins and waits; the address becomes clean again."""
    services = await services_with(request, slug)
    sale_id, sealed = services.snapshot.sale(slug).sale_id, request.query_params["return"]
    answer = see_other(f"/sales/{slug}/line")
    if gate.open_way_back(services, sale_id, sealed) is not None:
        answer.set_cookie(cookie(services.settings, f"return_{sale_id}", sealed, gate.RETURN_S))
    return answer


def _sealed(request: AnyRequest, services: Services, slug: str) -> str:
    name = f"return_{services.snapshot.sale(slug).sale_id}"
    return request.cookies.get(cookie_name(services.settings, name), "")


def way_back(request: AnyRequest, services: Services, slug: str) -> WayBack | None:
    """Where this browser came from, if it came from a site's gate."""
    return gate.open_way_back(
        services, services.snapshot.sale(slug).sale_id, _sealed(request, services, slug)
    )


def onward(request: AnyRequest, services: Services, slug: str) -> str:
    """Where an admitted buyer goes next."""
    return f"/sales/{slug}/" + ("checkout" if way_back(request, services, slug) is None else "continue")


@get("/sales/{sale:str}/continue", include_in_schema=False)
async def go_on(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """Back to the site; to another host with a one-time code, since this host's cookies stay here."""
    services = await services_with(request, sale)
    way = way_back(request, services, sale)
    if way is None:
        return see_other(f"/sales/{sale}/checkout")
    admission = pass_of(request, services, sale)
    if admission is None:
        return await fetch_pass(request, services, sale, require_buyer(request))
    if not gate.is_elsewhere(services.settings, way.site):
        return see_other(way.path)
    code = await gate.code_for(services, admission, _sealed(request, services, sale))
    return see_other(f"{way.site}{names.ENTER}?code={code}")


HANDLERS: list[Any] = [go_on]
