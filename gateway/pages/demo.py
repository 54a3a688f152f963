"""The mails of the demo, as a page and for programs. Elsewhere neither exists."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get

from gateway.pages.render import AnyRequest, not_found, page, services_for
from shop.mail.sink import SunkMail, read_sink


async def _mails(request: AnyRequest) -> list[SunkMail]:
    """Everything in the sink, newest first. Answers 404 outside the demo."""
    services = services_for(request)
    folder = services.settings.mail_sink_dir
    if not services.settings.demo or folder is None:
        raise not_found()
    mails: list[SunkMail] = await services.threads(read_sink, folder)
    return mails


@get("/demo/mail", include_in_schema=False)
async def mail_page(request: AnyRequest) -> Response[str]:
    """The mails, for people."""
    return page(request, "demo/mail.html", mails=await _mails(request))


@get("/demo/mail.json", include_in_schema=False)
async def mail_json(request: AnyRequest) -> Response[bytes]:
    """The mails, for programs: `to, subject, text, links`."""
    body = msgspec.json.encode(await _mails(request))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


HANDLERS: list[Any] = [mail_page, mail_json]
