"""Writes a letter: one plain-text template per occasion and language, its first line the subject.

Codes stand in the text only: subjects end up in the logs of mail servers. Letters never repeat what a stranger may have typed into a form (a name, for example), or a sign-up form could be used to send
anybody's text to anybody. Knows no SQL and no mail server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from babel.dates import format_datetime
from babel.numbers import format_currency, get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shop.mail.letters import Mail, Occasion

LOCALES = ("en", "ko")
_BLANK_LINES = re.compile(r"\n{3,}")
# A reader of Korean is taken to live by Korean time; everybody else gets UTC, and both letters say which.
_ZONES = {"en": UTC, "ko": timezone(timedelta(hours=9), "KST")}


def render(
    occasion: Occasion, locale: str, *, to: str, base_url: str, facts: Mapping[str, Any], key: str = ""
) -> Mail:
    """The written mail. An unknown `locale` is written in English; without `base_url` there are no links.

    `facts`: `code` for the two codes; for orders what `shop.mail.letters.order_letter` gives.
    """
    locale = locale if locale in LOCALES else "en"
    template = _environment().get_template(f"{occasion}.{locale}.txt")
    written = template.render(facts, to=to, base_url=base_url.rstrip("/"), locale=locale)
    subject, _, text = written.partition("\n")
    return Mail(
        to=to,
        subject=" ".join(subject.split()),
        text=_BLANK_LINES.sub("\n\n", text).strip() + "\n",
        locale=locale,
        key=key,
    )


def money(amount: int, currency: str, locale: str) -> str:
    """`amount` minor units as people of that language write it."""
    exact = Decimal(amount).scaleb(-get_currency_precision(currency))
    return format_currency(exact, currency, locale=locale)


def moment(when: str, locale: str) -> str:
    """An RFC 3339 time as words, with the name of its time zone."""
    zone = _ZONES[locale]
    local = datetime.fromisoformat(when).astimezone(zone)
    form = "MMMM d, HH:mm" if locale == "en" else "M월 d일 HH:mm"
    return f"{format_datetime(local, form, locale=locale)} ({zone.tzname(local)})"


@cache
def _environment() -> Environment:
    # Plain text: there is no markup to escape.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(money=money, moment=moment, fragment=lambda text: quote(text, safe="@"))
    return environment
