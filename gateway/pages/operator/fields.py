"""From what was typed into a sale's form to the sale that was meant, and back. Every fault stands at its field.

Times are meant in a zone that the form names. Amounts are typed as people write them and become minor units. Knows no requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.numbers import get_currency_precision

from gateway.bodies.operator import OperatorSaleBody
from gateway.bodies.problems import FieldFault
from gateway.pages.render import Form
from gateway.problems import Problem
from gateway.refusals import BadFields
from shop.catalogue.rules import Product
from shop.sales.rules import SaleDraft

NUMBERS = ("calls_per_minute", "capacity", "turn_window_s", "comeback_s", "hold_s", "pass_s")
# What most sales leave as it is: folded away.
FINE = frozenset({"turn_window_s", "comeback_s", "hold_s", "pass_s", "over_call_limit"})
# Boxes to tick; a browser sends those that are ticked only.
SWITCHES = ("guests", "challenge")
ON = "yes"
MOMENTS = ("lobby_opens_at", "opens_at", "closes_at")
# Offered first; a browser adds its own, and any other name of the time zone database is understood.
ZONES = (
    *("Asia/Seoul", "UTC", "Asia/Tokyo", "Asia/Shanghai", "Asia/Singapore", "Asia/Kolkata", "Asia/Dubai"),
    *("Europe/London", "Europe/Berlin", "America/New_York", "America/Chicago", "America/Los_Angeles"),
    *("America/Sao_Paulo", "Australia/Sydney"),
)
HOME_ZONES = {"ko": "Asia/Seoul", "en": "UTC"}
_PARTS = {"allotted": "allotted", "limit_per_buyer": "limit", "price": "price", "product_id": "allotted"}
_LOCAL = "%Y-%m-%dT%H:%M"


def blank(now: datetime, zone_name: str) -> Form:
    """A new sale as most begin: tomorrow at ten for two hours, its lobby half an hour before; the rest as the rules have it."""
    zone = ZoneInfo(zone_name)
    opens = (now.astimezone(zone) + timedelta(days=1)).replace(hour=10, minute=0)
    times = (opens - timedelta(minutes=30), opens, opens + timedelta(hours=2))
    usual = {field: str(SaleDraft.__dataclass_fields__[field].default) for field in NUMBERS}
    moments = {name: at.strftime(_LOCAL) for name, at in zip(MOMENTS, times, strict=True)}
    return Form({"zone": zone_name, "mode": "fifo", "over_call_limit": "1", **usual, **moments})


def filled(sale: OperatorSaleBody, zone_name: str) -> Form:
    """The form of a sale as it is."""
    zone = ZoneInfo(zone_name)
    form = Form(
        zone=zone_name,
        version=str(sale.version),
        slug=sale.slug,
        title=sale.title,
        mode=sale.mode,
        over_call_limit=f"{sale.over_call_limit:g}",
        message_ko=sale.message.ko if sale.message else "",
        message_en=sale.message.en if sale.message else "",
    )
    form |= {name: str(getattr(sale, name)) for name in NUMBERS}
    form |= {name: ON if getattr(sale, name) else "" for name in SWITCHES}
    form |= {name: getattr(sale, name).astimezone(zone).strftime(_LOCAL) for name in MOMENTS}
    for item in sale.items:
        form[f"allotted-{item.product_id}"] = str(item.allotted)
        form[f"limit-{item.product_id}"] = str(item.limit_per_buyer)
        form[f"price-{item.product_id}"] = as_typed(item.price, item.currency)
    return form


def as_typed(amount: int, currency: str) -> str:
    """Minor units as people write them into a field: 12.50, 48000."""
    precision = get_currency_precision(currency)
    return f"{Decimal(amount).scaleb(-precision):.{precision}f}"


def minor_units(text: str, currency: str) -> int | None:
    """What was typed as an amount, such as 12.50 or 48,000; None for what is none."""
    plain = text.strip().replace(",", "")
    try:
        minor = Decimal(plain).scaleb(get_currency_precision(currency))
        return int(minor) if len(plain) < 20 and minor == minor.to_integral_value() else None
    except (InvalidOperation, OverflowError, ValueError):
        return None


class Reader:
    """Reads one form; `faults` collects what is wrong with it."""

    def __init__(self, form: Form, products: Sequence[Product]) -> None:
        self._form = form
        self._currencies = {product.product_id: product.currency for product in products}
        self.faults: list[FieldFault] = []
        self._zone = self._read_zone()

    def fields(self, wanted: Iterable[str]) -> dict[str, Any]:
        """The values of these fields of a sale. Raises BadFields naming every field that cannot be read."""
        read: dict[str, Callable[[str], Any]] = dict.fromkeys(NUMBERS, self.whole)
        read |= dict.fromkeys(MOMENTS, self.moment)
        read |= dict.fromkeys(SWITCHES, lambda name: self._form[name] == ON)
        read |= dict.fromkeys(("slug", "title", "mode"), lambda name: self._form[name].strip())
        read |= {"over_call_limit": self.factor, "message": self._message, "items": self._items}
        values = {name: read[name](name) for name in wanted}
        if self.faults:
            raise BadFields(self.faults)
        return values

    def whole(self, name: str) -> int:
        """A whole number."""
        text = self._form[name].strip()
        if not text.isdecimal() or len(text) > 12:
            self._fault(name, "must be a whole number")
            return 0
        return int(text)

    def moment(self, name: str) -> datetime | None:
        """A date and a time in the form's zone."""
        try:
            return datetime.fromisoformat(self._form[name]).replace(tzinfo=self._zone).astimezone(UTC)
        except (ValueError, OverflowError):  # no date, or one at the very ends of the calendar
            self._fault(name, "must be a date and a time")
            return None

    def _read_zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self._form["zone"] or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._fault("zone", "must be a time zone such as Asia/Seoul")
            return ZoneInfo("UTC")

    def factor(self, name: str) -> float:
        """An over-call limit."""
        try:
            factor = float(self._form[name] or "1")
        except ValueError:
            factor = -1.0
        if not 1 <= factor <= 2:
            self._fault(name, "must be from 1 to 2")
        return factor

    def _message(self, _: str) -> dict[str, str] | None:
        texts = {language: self._form[f"message_{language}"].strip() for language in ("ko", "en")}
        return texts if any(texts.values()) else None

    def _items(self, _: str) -> list[dict[str, Any]]:
        chosen = allotted_products(self._form)
        if not chosen:
            self._fault("items", "allot units of at least one product")
        return [
            {
                "product_id": product_id,
                "allotted": self.whole(f"allotted-{product_id}"),
                "limit_per_buyer": self.whole(f"limit-{product_id}"),
                "price": self._price(product_id),
            }
            for product_id in chosen
        ]

    def _price(self, product_id: str) -> int | None:
        """In minor units; None for the product's own price."""
        name = f"price-{product_id}"
        text = self._form[name].strip()
        if not text:
            return None
        minor = minor_units(text, self._currencies.get(product_id, "KRW"))
        if minor is None:
            self._fault(name, "must be an amount of money")
        return minor

    def _fault(self, field: str, message: str) -> None:
        self.faults.append(FieldFault(field=field, message=message))


def allotted_products(form: Form) -> list[str]:
    """The products that get units, in the order of the form."""
    prefix = "allotted-"
    return [
        name.removeprefix(prefix)
        for name, value in form.items()
        if name.startswith(prefix) and value.strip() not in ("", "0")
    ]


def by_field(problem: Problem, form: Form) -> Problem:
    """Faults of `items.0.price` belong to the field of that product in the form, those of `message.ko` to that of the message."""
    named = {"message.ko": "message_ko", "message.en": "message_en"}
    for at, product_id in enumerate(allotted_products(form)):
        named |= {f"items.{at}.{part}": f"{field}-{product_id}" for part, field in _PARTS.items()}
    errors = tuple(
        FieldFault(field=named.get(fault.field, fault.field), message=fault.message)
        for fault in problem.errors
    )
    return Problem(problem.status, problem.code, problem.title, problem.detail, errors, problem.retry_after_s)


def differing(form: Form, present: Form) -> list[tuple[str, str, str]]:
    """Where a form differs from the sale as it is now: field, the sale's value, the form's value."""
    return [
        (name, value, form[name])
        for name, value in present.items()
        if (name in form or name in SWITCHES)
        and name not in ("zone", "version")
        and form[name].strip() != value
    ]
