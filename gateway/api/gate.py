"""The gate of other sites: what their proxies ask for every request, and how a pass gets to another host.

`/gate/verify` is answered in plain ASGI, for every method alike. It believes what the proxy's configuration says in the query
(sale, site), and from headers only where on that site the client wanted to go, which changes nothing about who may pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Redirect

from firstcome_gate import names, nonce
from gateway import gate
from gateway.bodies.line import ArrivalBody
from gateway.bodies.problems import FieldFault
from gateway.cookies import cookie
from gateway.documenting import refuses
from gateway.gate import Knock
from gateway.inputs import CodeForPass
from gateway.plain import (
    Answer,
    Header,
    Receive,
    Scope,
    Send,
    cookies,
    headers_of,
    instead,
    send_answer,
    text_of,
)
from gateway.problem_answers import problem_answer
from gateway.refusals import BadFields, CodeSpent, GatewayRefused, NoPass
from gateway.security import GATE
from gateway.services import Services, services_of
from waiting_room.passes import Pass

AnyRequest = Request[Any, Any, Any]

REDIRECT, PLAIN_401 = "303", "401"
_CHALLENGE: Header = (b"www-authenticate", b"Admission-Pass")
_ASKED = frozenset({"sale", "sale_id", "site", "answer", "nonce_hash"})


# ---------------------------------------------------------------- may this one pass?


async def serve_verify(scope: Scope, _receive: Receive, send: Send) -> None:
    """204 with who it is, else 401, or 303 to the line."""
    try:
        answer = _verified(services_of(scope), scope, headers_of(scope))
    except GatewayRefused as refusal:
        answer = problem_answer(refusal, scope["path"])
    await send_answer(send, answer)


def _verified(services: Services, scope: Scope, headers: Mapping[bytes, bytes]) -> Answer:
    knock = _knock(services, scope)
    sale_id = gate.sale_id_of(services, knock)
    admission = gate.read_pass(services, sale_id, _shown(services, headers, sale_id))
    if admission is None:
        return _turned_away(services, headers, knock)
    kept = names.cookies_of_the_site(text_of(headers, b"cookie") or "", secure=services.settings.secure)
    # Said even when nothing is left: a proxy that copies a header which is not there may keep the client's.
    told = names.identity(admission) | {"Cookie": kept}
    return Answer(204, (), own=tuple(_line(name, value) for name, value in told.items()))


def _knock(services: Services, scope: Scope) -> Knock:
    """What is asked, and how to turn away. Raises BadFields for anything that is said twice or not known, and UnknownSite."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    asked = dict(pairs)
    if len(asked) < len(pairs) or not asked.keys() <= _ASKED or not all(asked.values()):
        raise BadFields(
            [
                FieldFault(
                    field="query", message="may say sale or sale_id, site, answer and nonce_hash, each once"
                )
            ]
        )
    if asked.get("answer", REDIRECT) not in (REDIRECT, PLAIN_401):
        raise BadFields([FieldFault(field="answer", message="must be 303 or 401")])
    if "nonce_hash" in asked and not nonce.is_hash(asked["nonce_hash"]):
        raise BadFields([FieldFault(field="nonce_hash", message="must be a SHA-256 in hex")])
    site = gate.site_of(services.settings, asked.get("site", services.settings.base_url))
    how = asked.get("answer", REDIRECT)
    return Knock(asked.get("sale"), asked.get("sale_id"), site, how, asked.get("nonce_hash"))


def _shown(services: Services, headers: Mapping[bytes, bytes], sale_id: str) -> str | None:
    """The pass in the header, else in the cookie of the sale."""
    kept = names.pass_cookie(sale_id, secure=services.settings.secure)
    return text_of(headers, names.PASS_HEADER.encode()) or cookies(headers).get(kept)


def _turned_away(services: Services, headers: Mapping[bytes, bytes], knock: Knock) -> Answer:
    """Browsers to the line, with the sealed way back; programs learn that they need a pass."""
    told = problem_answer(NoPass(), GATE)
    others = (line for line in told.own if line[0] != _CHALLENGE[0])
    told = msgspec.structs.replace(told, own=(*others, _CHALLENGE))
    if b"text/html" not in headers.get(b"accept", b""):
        return told
    method = text_of(headers, b"x-forwarded-method") or "GET"
    target = text_of(headers, b"x-forwarded-uri") if method in ("GET", "HEAD") else None
    sale, (bound_to, kept) = gate.sale_of(services, knock), _binding(services, headers, knock)
    where = gate.way_in(services, sale, knock.site, target or "/", bound_to)
    if knock.answer == PLAIN_401:
        return msgspec.structs.replace(told, own=(*told.own, *kept, _line(names.ROOM, where)))
    return Answer(303, (), own=(*kept, _line("Location", where)))


def _binding(
    services: Services, headers: Mapping[bytes, bytes], knock: Knock
) -> tuple[str, tuple[Header, ...]]:
    """The hash of the nonce that binds the way back to this browser, and the cookie by which it keeps the nonce.

    Neither on the room's own host, where no code is needed; no cookie where the site takes care of that itself.
    """
    if knock.nonce_hash or not gate.is_elsewhere(services.settings, knock.site):
        return knock.nonce_hash or "", ()
    held = gate.nonce_of(services.settings, text_of(headers, b"cookie") or "")
    return nonce.hash_of(held), (_line("Set-Cookie", nonce.cookie(held, secure=services.settings.secure)),)


def _line(name: str, value: str) -> Header:
    return name.lower().encode(), value.encode("latin-1", "replace")


@get(
    "/verify",
    tags=["gate"],
    status_code=204,
    middleware=[instead(serve_verify)],
    responses={
        **refuses("no_pass", "unknown_site", "unknown_sale", "bad_fields", "unavailable"),
        303: ResponseSpec(None, description="A browser without a pass is led to the line (`Location`)"),
    },
)
async def verify(
    sale: Annotated[
        str | None, QueryParameter(description="the slug of the sale that opens the site")
    ] = None,
    sale_id: Annotated[
        str | None,
        QueryParameter(description="or its id, which needs no store at all, not even after a restart"),
    ] = None,
    site: Annotated[
        str | None,
        QueryParameter(description="the origin of the site, if it is another host; one of the settings'"),
    ] = None,
    answer: Annotated[
        str | None,
        QueryParameter(
            description="401 never redirects; the line's address is in X-Firstcome-Room then (nginx)"
        ),
    ] = None,
    nonce_hash: Annotated[
        str | None,
        QueryParameter(
            description="SHA-256, in hex, of what the site itself lets the browser keep; without it the answer sets the cookie"
        ),
    ] = None,
    admission_pass: Annotated[
        str | None, HeaderParameter(name="Admission-Pass", description="the pass, else its cookie")
    ] = None,
) -> None:
    """For proxies (nginx auth_request, Traefik forwardAuth, Caddy forward_auth): may this request pass? Any method.

    204 with `X-Firstcome-Account`, `-Ticket`, `-Sale`, `-Pass` and `-Expires` (unix seconds), and in `Cookie` what the site may
    see of the request's cookies. `X-Forwarded-Uri` and `X-Forwarded-Method` say where a browser comes back to. When it turns a browser
    away from another host, hand its `Set-Cookie` on: the code of the way back is good in that browser alone.
    """
    raise NotImplementedError(sale, sale_id, site, answer, nonce_hash, admission_pass)


# ---------------------------------------------------------------- to another host


@post(
    "/exchange",
    tags=["gate"],
    status_code=200,
    responses=refuses(
        *("code_spent", "unknown_site", "unreadable_body", "unsupported_media_type", "bad_fields"),
        *("room_unavailable",),
    ),
)
async def exchange(data: JSONBody[CodeForPass], services: NamedDependency[Services]) -> Response[ArrivalBody]:
    """For a program at another host: the pass behind a one-time code, once, within a minute, for the site and browser it was made for."""
    admission, way = await gate.redeem(services, data.code, data.site, data.nonce)
    body = ArrivalBody(
        pass_=services.pass_signer.sign(admission),
        expires_at=datetime.fromtimestamp(admission.exp, tz=UTC),
        sale_id=admission.sale_id,
        to=way.path,
    )
    return Response(body, headers={"Cache-Control": "no-store"})


@get("/enter", include_in_schema=False)
async def enter(
    request: AnyRequest, services: NamedDependency[Services], code: FromQuery[str] = ""
) -> Response[Any]:
    """For a proxy at another host that hands this path on with its own Host: the code becomes that host's cookie.

    Only in the browser that the gate turned away there. A code of before, or of another browser, leads to the site's start, where the gate knows what to do.
    """
    site = gate.site_of_host(services.settings, request.headers.get("host", ""))
    held = nonce.kept(request.headers.get("cookie", ""), secure=services.settings.secure)
    try:
        admission, way = await gate.redeem(services, code, site, held)
    except CodeSpent:
        return _onward("/")
    answer = _onward(way.path)
    remember(services, answer, admission)
    return answer


def remember(services: Services, answer: Response[Any], admission: Pass) -> None:
    """Let the browser keep the pass, at the host that it asks, for as long as it is good."""
    life_s = max(1, admission.exp - int(datetime.now(UTC).timestamp()))
    token = services.pass_signer.sign(admission)
    answer.set_cookie(cookie(services.settings, f"pass_{admission.sale_id}", token, life_s))


def _onward(path: str) -> Redirect:
    return Redirect(path, status_code=303, headers={"Cache-Control": "no-store"})


HANDLERS: list[Any] = [verify, exchange, enter]
