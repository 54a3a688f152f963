"""Numbers, amounts, times and ranges of waiting times, as readers of one language write them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from babel.dates import format_datetime, format_time
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision
from babel.units import format_unit

# Without a script the server has to choose a zone: readers of Korean are taken to live by Korean time. It is always named.
ZONES = {"ko": (timezone(timedelta(hours=9)), "KST"), "en": (UTC, "UTC")}

Gettext = Callable[[str], str]


def two_digits(number: int) -> str:
    return f"{number:02d}"


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def share(item: Any, counter: str) -> float:
    """Percent of the allotted units that are held or sold."""
    return round(100 * getattr(item, counter) / item.allotted, 2) if item.allotted else 0.0


# Patterns of a day with its time, in Korean and in English.
DAYS = {
    "datetime": ("M월 d일 (E) HH:mm", "EEE d MMM, HH:mm"),
    "stamp": ("M월 d일 HH:mm:ss", "d MMM, HH:mm:ss"),
}


class Figures:
    """What every kind of words needs: the language, its translations and its way to write numbers."""

    def __init__(self, locale: str, gettext: Gettext) -> None:
        self.locale = locale
        self._gettext = gettext
        self.zone, self.zone_name = ZONES[locale]

    def number(self, value: int) -> str:
        return format_decimal(value, locale=self.locale)

    def percent(self, share: float) -> str:
        """A share from 0 to 1 as "8%"."""
        return format_percent(share, locale=self.locale)

    def utc(self, at: datetime) -> str:
        """A moment in UTC, to the minute; `sale-form.js` says the same."""
        return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")

    def money(self, amount: int, currency: str) -> str:
        """An amount in minor units, as "₩48,000" or "$12.50"."""
        return format_currency(amount / 10 ** get_currency_precision(currency), currency, locale=self.locale)

    def moment(self, at: datetime, style: str = "time") -> str:
        """A moment in the language's own zone; style: time, seconds, datetime (day and minute) or stamp (day and second)."""
        local = at.astimezone(self.zone)
        if style in ("datetime", "stamp"):
            korean, english = DAYS[style]
            text = format_datetime(local, korean if self.locale == "ko" else english, locale=self.locale)
        else:
            text = format_time(local, "HH:mm:ss" if style == "seconds" else "HH:mm", locale=self.locale)
        return f"{text} {self.zone_name}"

    def time_left(self, until: datetime, now: datetime) -> str:
        """ "1:58", "1:02:03" or "2 days 1:02:03", never below 0:00; `site.js` says the same in the browser."""
        return self.clock(max(0, -int(-(until - now).total_seconds() // 1)))

    def clock(self, left: int) -> str:
        """Whole seconds as "1:58", "1:02:03" or "2 days 1:02:03"."""
        days, hours, minutes, seconds = left // 86_400, left // 3600 % 24, left // 60 % 60, left % 60
        clock = f"{minutes}:{two_digits(seconds)}"
        if days or hours:
            clock = f"{hours}:{two_digits(minutes)}:{two_digits(seconds)}"
        return f"{format_unit(days, 'day', locale=self.locale)} {clock}" if days else clock

    def duration(self, seconds: float) -> str:
        """ "45 s", "2 min", "1 h 30 min"."""
        _ = self._gettext
        seconds = round(seconds)
        if seconds < 60:
            return _("%(n)s s") % {"n": seconds}
        hours, minutes = seconds // 3600, round(seconds / 60) % 60
        parts = [_("%(n)s h") % {"n": hours}] if hours else []
        if minutes or not hours:
            parts.append(_("%(n)s min") % {"n": minutes})
        return " ".join(parts)

    def estimate_words(self) -> dict[str, str]:
        """The forms of a range of waiting times; `{low}`, `{high}` and `{n}` stand for the numbers, here and in `line.js`."""
        _ = self._gettext
        return {
            "estimate_none": _("No estimate at the moment"),
            "estimate_under": _("Less than a minute"),
            "estimate_upto": _("Up to {n} min"),
            "estimate_minute": _("About {n} min"),
            "estimate_minutes": _("{low}–{high} min"),
            "estimate_hours": _("{low}–{high} h"),
        }

    def estimate(self, estimate: Any, words: Mapping[str, str]) -> str:
        """A range in words; `line.js` says the same."""
        if estimate is None or estimate.low_s is None or estimate.high_s is None:
            return words["estimate_none"]
        low, high = estimate.low_s, estimate.high_s
        if high <= 60:
            return words["estimate_under"]
        unit, form = (3600, words["estimate_hours"]) if high > 7200 else (60, words["estimate_minutes"])
        least, most = int(low // unit), int(-(-high // unit))
        if not least:
            return words["estimate_upto"].replace("{n}", self.number(most))
        if unit == 60 and least == most:
            return words["estimate_minute"].replace("{n}", self.number(most))
        return form.replace("{low}", self.number(least)).replace("{high}", self.number(most))

    def lines_in_words(self, lines: Iterable[Any]) -> str:
        return ", ".join(f"{line.title} × {self.number(line.quantity)}" for line in lines)
