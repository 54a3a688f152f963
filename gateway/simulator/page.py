"""The stand-in's pay page: what a buyer sees between checkout and order. Server-rendered, no script, nothing from elsewhere."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from babel.numbers import format_currency, get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.enums import MediaType
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.simulator.config import SimulatorConfig
from gateway.simulator.courier import Courier
from gateway.simulator.outcomes import Outcome
from gateway.simulator.payment import Payment
from gateway.simulator.store import Store
from gateway.simulator.words import WORDS

HERE = Path(__file__).parent
STATIC = HERE / "static"

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

MAIN = (Outcome.APPROVE, Outcome.DECLINE)
MORE = tuple(outcome for outcome in Outcome if outcome not in MAIN)


def pay_routes() -> list[HTTPRouteHandler]:
    """The handlers of the pay page."""
    return [show, choose]


@get("/pay/{token:str}")
async def show(token: FromPath[str], request: Request[Any, Any, State], state: State) -> Response[str]:
    """The pay page; a finished payment shows how it ended and the way back."""
    store: Store = state.store
    payment = await asyncio.to_thread(store.payment, token=token)
    if payment is None:
        raise NotFoundException("there is no such payment")
    return _page(state.config, payment, _language(request))


@post("/pay/{token:str}")
async def choose(token: FromPath[str], request: Request[Any, Any, State], state: State) -> Response[str]:
    """Take the buyer's choice (form field `outcome`) and send the browser back to the shop."""
    chosen = (await request.form()).getall("outcome", [])
    if len(chosen) != 1 or chosen[0] not in set(Outcome):
        raise ClientException("outcome is one of " + ", ".join(Outcome))
    store: Store = state.store
    payment = await asyncio.to_thread(store.choose, token, Outcome(chosen[0]))
    if payment is None:
        raise NotFoundException("there is no such payment")
    courier: Courier = state.courier
    courier.wake()
    headers = {"location": payment.return_url, "cache-control": "no-store"}
    return Response("", status_code=303, media_type=MediaType.TEXT, headers=headers)


def _page(config: SimulatorConfig, payment: Payment, language: str) -> Response[str]:
    html = _templates.get_template("pay.html").render(
        words=WORDS[language],
        language=language,
        merchant=config.merchant,
        payment=payment,
        amount=money(payment.amount, payment.currency, language),
        more=MORE,
    )
    back = urlsplit(payment.return_url)
    # A browser checks the redirect after a form against form-action, so the shop has to be named there.
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {back.scheme}://{back.netloc}"
    )
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "content-language": language,
        "vary": "accept-language",
    }
    return Response(html, media_type=MediaType.HTML, headers=headers)


def money(amount: int, currency: str, language: str) -> str:
    """An amount in minor units as people write it."""
    units = Decimal(amount).scaleb(-get_currency_precision(currency))
    return format_currency(units, currency, locale=language)


def _language(request: Request[Any, Any, State]) -> str:
    """`ko` where the browser asks for Korean before English."""
    wanted = [
        part.split(";")[0].strip().lower()[:2]
        for part in request.headers.get("accept-language", "").split(",")
    ]
    return next((language for language in wanted if language in WORDS), "en")
