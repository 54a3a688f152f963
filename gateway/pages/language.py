"""Which language a page speaks: the reader's choice in a cookie, else what the browser asks for, else English.

Holds one template environment per language. Knows templates and translations, no request's business.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, get
from litestar.datastructures import Cookie
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from gateway.onward import same_site
from gateway.pages import assets, words
from gateway.pages.words import Words

LOCALES = ("en", "ko")
NAMES = {"en": "English", "ko": "한국어"}
COOKIE = "language"
A_YEAR_S = 31_536_000

_ROOT = Path(__file__).parent.parent

AnyRequest = Request[Any, Any, Any]


def locale_of(request: AnyRequest) -> str:
    """The language of this request: its cookie, else the best of Accept-Language."""
    chosen = request.cookies.get(COOKIE)
    return chosen if chosen in LOCALES else preferred(request.headers.get("accept-language", ""))


def preferred(header: str) -> str:
    """The best language that an Accept-Language header names; English when it names none of ours."""
    ranked: list[tuple[float, int, str]] = []
    for at, part in enumerate(header.split(",")[:20]):
        tag, _, parameters = part.strip().partition(";")
        locale = tag.partition("-")[0].lower()
        quality = parameters.strip().removeprefix("q=") or "1"
        if locale in LOCALES and quality.replace(".", "", 1).isdecimal() and float(quality) > 0:
            ranked.append((-float(quality), at, locale))
    return min(ranked)[2] if ranked else "en"


@lru_cache(maxsize=len(LOCALES))
def translations(locale: str) -> NullTranslations:
    """The catalogue of a language, compiled from its source once per process; English needs none."""
    if locale == "en":
        return NullTranslations()
    source = _ROOT / "locales" / locale / "LC_MESSAGES" / "messages.po"
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(source.read_bytes()), locale=locale))
    compiled.seek(0)
    return Translations(compiled)


@lru_cache(maxsize=len(LOCALES))
def words_in(locale: str) -> Words:
    """Everything that is said in this language."""
    return Words(locale, translations(locale).gettext)


@lru_cache(maxsize=len(LOCALES))
def environment(locale: str) -> Environment:
    """The templates in one language: an unknown name is an error, every value is escaped."""
    env = Environment(
        loader=FileSystemLoader(_ROOT / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
    )
    env.install_gettext_translations(translations(locale), newstyle=True)  # type: ignore[attr-defined]
    spoken = words_in(locale)
    env.filters |= {name: getattr(spoken, name) for name in dir(Words) if not name.startswith("_")}
    env.filters |= {name: getattr(words, name) for name in ("iso", "share", "fault_of")}
    env.globals |= {"asset": assets.asset_url, "picture_url": assets.picture_url}
    return env


@get("/language/{code:str}", include_in_schema=False, sync_to_thread=False)
def choose_language(request: AnyRequest, code: FromPath[str], next: FromQuery[str] = "/") -> Redirect:
    """Remember the reader's choice and go back to the page."""
    answer = Redirect(same_site(next), status_code=303, headers={"Cache-Control": "no-store"})
    if code in LOCALES:
        secure: bool = request.app.state.services.settings.secure
        answer.set_cookie(
            Cookie(
                key=COOKIE,
                value=code,
                max_age=A_YEAR_S,
                path="/",
                secure=secure,
                httponly=True,
                samesite="lax",
            )
        )
    return answer
