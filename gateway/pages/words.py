"""The words of states, times, amounts and refusals, in one language. Pure: values in, text out; knows no request and no page.

The English source stands here and in the templates; `gateway/locales` holds the translations. One `Words` per language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_time
from babel.numbers import format_currency, format_decimal, get_currency_precision

# Without a script the server has to choose a zone: readers of Korean are taken to live by Korean time. It is always named.
ZONES: Mapping[str, tuple[Any, str]] = {"ko": (ZoneInfo("Asia/Seoul"), "KST"), "en": (UTC, "UTC")}

PHASE_TONES = {
    "open": "go",
    "lobby": "go",
    "announced": "",
    "paused": "wait",
    "halted": "stop",
    "draining": "wait",
    "all_held": "wait",
}
STOCK_TONES = {"available": "go", "low": "turn", "all_held": "wait"}
ORDER_TONES = {"paid": "go", "reserved": "turn", "paying": "turn", "queued": "wait", "rejected": "stop"}
ORDER_TICKET_TONES = {"reserved": "turn", "paying": "turn", "paid": "in", "queued": ""}
STATE_TONES = {
    "called": "turn",
    "admitted": "in",
    "done": "in",
    "missed": "wait",
    "all_held": "wait",
    "left": "rest",
    "lapsed": "rest",
    "sold_out": "rest",
    "closed": "rest",
}
STATE_STEPS = {"called": 2, "missed": 2, "admitted": 3, "done": 5}

Gettext = Callable[[str], str]


def two_digits(number: int) -> str:
    return f"{number:02d}"


def time_left(until: datetime, now: datetime) -> str:
    """ "1:58" or "1:02:03", never below 0:00; `site.js` says the same in the browser."""
    seconds = max(0, -int(-(until - now).total_seconds() // 1))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f"{hours}:{two_digits(minutes)}:{two_digits(seconds % 60)}"
    return f"{minutes}:{two_digits(seconds % 60)}"


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def share(item: Any, counter: str) -> float:
    """Percent of the allotted units that are held or sold."""
    return round(100 * getattr(item, counter) / item.allotted, 2) if item.allotted else 0.0


def fault_of(problem: Any, name: str) -> str:
    """What is wrong with one field of a form; empty when nothing is."""
    faults = problem.errors if problem else ()
    return next((fault.message for fault in faults if fault.field == name), "")


class Words:
    """Everything that is said in one language; the public methods are the templates' filters."""

    def __init__(self, locale: str, gettext: Gettext) -> None:
        self.locale = locale
        self._gettext = gettext
        self.zone, self.zone_name = ZONES[locale]

    def links(self, *, operator: bool, signed_in: bool) -> list[tuple[str, str]]:
        """The main navigation: (path, word)."""
        _ = self._gettext
        if operator:
            return [("/operator", _("Sale windows"))] if signed_in else [("/operator/login", _("Log in"))]
        if signed_in:
            return [("/orders", _("Orders")), ("/cart", _("Cart")), ("/me", _("My data"))]
        return [("/login", _("Log in")), ("/signup", _("Sign up"))]

    # ------------------------------------------------------------ numbers and times

    def number(self, value: int) -> str:
        return format_decimal(value, locale=self.locale)

    def money(self, amount: int, currency: str) -> str:
        """An amount in minor units, as "₩48,000" or "$12.50"."""
        return format_currency(amount / 10 ** get_currency_precision(currency), currency, locale=self.locale)

    def moment(self, at: datetime, style: str = "time") -> str:
        """A moment in the language's own zone; style: time, seconds or datetime."""
        local = at.astimezone(self.zone)
        if style == "datetime":
            pattern = "M월 d일 (E) HH:mm" if self.locale == "ko" else "EEE d MMM, HH:mm"
            text = format_datetime(local, pattern, locale=self.locale)
        else:
            text = format_time(local, "HH:mm:ss" if style == "seconds" else "HH:mm", locale=self.locale)
        return f"{text} {self.zone_name}"

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

    # ------------------------------------------------------------ sales

    def phase_word(self, phase: str) -> str:
        _ = self._gettext
        return {
            "draft": _("Draft"),
            "announced": _("Announced"),
            "lobby": _("Lobby open"),
            "open": _("Open"),
            "paused": _("Paused"),
            "halted": _("Halted"),
            "draining": _("No more joins"),
            "all_held": _("All in checkout"),
            "sold_out": _("Sold out"),
            "closed": _("Closed"),
            "cancelled": _("Cancelled"),
        }.get(phase, phase)

    def phase_headline(self, phase: str) -> str:
        _ = self._gettext
        return {
            "announced": _("Not open yet"),
            "lobby": _("The lobby is open"),
            "open": _("The sale is open"),
            "paused": _("The sale is paused"),
            "halted": _("The sale is halted"),
            "draining": _("The line is closed to newcomers"),
            "all_held": _("Everything is in checkout"),
            "sold_out": _("Sold out"),
            "closed": _("The sale is over"),
            "cancelled": _("The sale was cancelled"),
        }.get(phase, self.phase_word(phase))

    def phase_sentence(self, phase: str) -> str:
        """What the phase means for a buyer."""
        _ = self._gettext
        return {
            "announced": _("You can join the line as soon as the lobby opens."),
            "lobby": _("Take your place now. Calls begin when the sale starts."),
            "open": _("Join the line; you are called in your turn."),
            "paused": _("Nobody is called for the moment. You may join, and every place is kept."),
            "halted": _("The shop is checking something. Every place is kept."),
            "draining": _("Nobody else may join. Those in line are called as before."),
            "all_held": _(
                "Everything is held by buyers in checkout. What they do not pay for goes to the next in line."
            ),
            "sold_out": _("Everything has been sold. Thank you for coming."),
            "closed": _("Thank you for coming."),
            "cancelled": _("Nothing is sold any more. We are sorry."),
        }.get(phase, "")

    def phase_meaning(self, phase: str) -> str:
        """What the phase means for the operator."""
        _ = self._gettext
        return {
            "draft": _("Buyers do not see it yet."),
            "announced": _("Buyers see it; the lobby is not open yet."),
            "lobby": _("Buyers may take their places; nobody is called before the start."),
            "open": _("Buyers join and are called in their order."),
            "paused": _("Nobody is called. Joining, turns and checkout go on."),
            "halted": _("Nobody is called; no turn is claimed and no order accepted."),
            "draining": _("Nobody else may join. Those in line are called as before."),
            "all_held": _("No free units. Calls go on when a hold lapses."),
            "sold_out": _("Every unit is sold."),
            "closed": _("No joins and no calls. Who is in checkout may finish."),
            "cancelled": _("The sale was ended and everybody was told."),
        }.get(phase, "")

    def phase_tone(self, phase: str) -> str:
        return PHASE_TONES.get(phase, "")

    def stock_word(self, state: str) -> str:
        _ = self._gettext
        return {
            "available": _("Available"),
            "low": _("Only a few left"),
            "all_held": _("All in checkout"),
            "sold_out": _("Sold out"),
        }.get(state, _("Stock unknown"))

    def stock_tone(self, state: str) -> str:
        return STOCK_TONES.get(state, "")

    def action_word(self, action: str) -> str:
        """An operator's action after it was done."""
        _ = self._gettext
        return {
            "publish": _("published"),
            "open": _("opened"),
            "pause": _("calls paused"),
            "halt": _("everything halted"),
            "resume": _("resumed"),
            "drain": _("no more joins"),
            "close": _("closed"),
            "cancel": _("cancelled"),
            "set-rate": _("calls a minute set"),
            "set-capacity": _("places in checkout set"),
            "announce": _("message set"),
            "create": _("sale window created"),
        }.get(action, "")

    # ------------------------------------------------------------ the line

    def headlines(self) -> list[tuple[str, str]]:
        """The headline of every state of a ticket."""
        _ = self._gettext
        return [
            ("lobby", _("You are early, and your place is kept")),
            ("waiting", _("You are in line")),
            ("called", _("It is your turn")),
            ("missed", _("You missed your turn, but it is not lost")),
            ("admitted", _("The checkout is open for you")),
            ("done", _("All done. Thank you")),
            ("left", _("You have left the line")),
            ("lapsed", _("Your place has ended")),
            ("all_held", _("Everything is in checkout right now")),
            ("sold_out", _("Sold out")),
            ("closed", _("The sale is over")),
        ]

    def leads(self) -> list[tuple[str, str]]:
        """The sentence below the headline: what happens next."""
        _ = self._gettext
        return [
            ("lobby", _("When the sale starts, people are called in the order of their numbers.")),
            ("waiting", _("We call people strictly in order. When it is your turn, this page tells you.")),
            ("called", _("Start your checkout before the time is up. Nothing is bought yet.")),
            ("missed", _("Press “I am here” in time, and you are the next to be called.")),
            ("admitted", _("Choose what you want and place your order.")),
            ("done", _("Your order is in. You find it under “My orders”.")),
            ("left", _("Your place was given up, as you wished.")),
            ("lapsed", _("The time to come back is over, so the place went on to the others.")),
            (
                "all_held",
                _(
                    "Buyers in checkout hold every unit. What they do not pay for goes to the next in line. You keep your place."
                ),
            ),
            (
                "sold_out",
                _("Every unit has been sold. Thank you for waiting; we are sorry it did not reach you."),
            ),
            ("closed", _("Nobody is called any more. Thank you for coming.")),
        ]

    def outlooks(self) -> list[tuple[str, str]]:
        _ = self._gettext
        return [
            ("likely", _("Likely")),
            ("uncertain", _("Uncertain")),
            ("unlikely", _("Unlikely")),
            ("gone", _("No, everything is gone")),
            ("unknown", _("Not known at the moment")),
        ]

    def reasons(self) -> list[tuple[str, str]]:
        """Why an estimate got longer."""
        _ = self._gettext
        return [
            ("paused", _("The shop has paused the line for a moment.")),
            ("rate_lowered", _("The shop calls fewer people at a time now.")),
            ("capacity_lowered", _("The shop has fewer places in checkout now.")),
            ("checkout_slow", _("Those in checkout take longer than before.")),
            ("stock_held", _("What is left is held by buyers in checkout.")),
            ("rebuilding", _("The line is being put together again after a fault. Your place is safe.")),
            ("no_history", _("The line has only just begun to move.")),
        ]

    def sentences(self) -> list[tuple[str, str]]:
        """What the script says aloud and in the title; `{ahead}` and `{left}` stand for numbers."""
        _ = self._gettext
        states = [(f"state-{state}", words) for state, words in self.headlines()]
        return [
            *states,
            ("ahead", _("{ahead} people ahead of you")),
            ("title-lobby", _("In line")),
            ("title-waiting", _("({ahead}) In line")),
            ("title-called", _("● Your turn, {left} left")),
            ("title-missed", _("● You missed your turn")),
            ("title-admitted", _("✓ Checkout is open")),
            ("title-done", _("✓ Done")),
            ("title-left", _("You have left the line")),
            ("title-lapsed", _("Your place has ended")),
            ("title-all_held", _("({ahead}) In line")),
            ("title-sold_out", _("Sold out")),
            ("title-closed", _("The sale is over")),
        ]

    def state_tone(self, state: str) -> str:
        return STATE_TONES.get(state, "")

    def state_step(self, state: str) -> int:
        return STATE_STEPS.get(state, 1)

    # ------------------------------------------------------------ orders

    def order_word(self, state: str) -> str:
        _ = self._gettext
        return {
            "queued": _("Being decided"),
            "rejected": _("Not accepted"),
            "reserved": _("Waiting for payment"),
            "paying": _("Being paid"),
            "paid": _("Paid"),
            "expired": _("Expired"),
            "cancelled": _("Cancelled"),
            "refunding": _("Being refunded"),
            "refunded": _("Refunded"),
            "fulfilling": _("In preparation"),
            "shipped": _("On its way"),
            "delivered": _("Delivered"),
            "return_requested": _("Return requested"),
            "returned": _("Returned"),
        }.get(state, state)

    def order_tone(self, state: str) -> str:
        return ORDER_TONES.get(state, "")

    def order_ticket_tone(self, state: str) -> str:
        return ORDER_TICKET_TONES.get(state, "rest")

    def order_headline(self, state: str) -> str:
        _ = self._gettext
        return {
            "queued": _("Your order is being decided"),
            "rejected": _("We could not accept this order"),
            "reserved": _("Held for you. Please pay now"),
            "paying": _("Your payment is under way"),
            "paid": _("Paid. It is yours"),
            "expired": _("The time to pay is over"),
            "cancelled": _("This order is cancelled"),
            "refunding": _("Your money is on its way back"),
            "refunded": _("Your money has been returned"),
        }.get(state, self.order_word(state))

    def order_sentence(self, order: Any) -> str:
        """What an order's state means for its buyer, and what comes next."""
        _ = self._gettext
        if order.state == "rejected":
            return self.rejection(order.reason)
        return {
            "queued": _(
                "Orders are decided one by one, in the order in which they came in. This takes a moment."
            ),
            "reserved": _("Nobody else can buy it while the time runs."),
            "paying": _("We wait for the payment provider. You may close this page; we send you a mail."),
            "paid": _("Thank you. A confirmation is on its way to you by mail."),
            "expired": _("It was not paid in time, so it went to the next in line. Nothing was charged."),
            "cancelled": _("Nothing was charged. What was held went to the next in line."),
        }.get(order.state, "")

    def rejection(self, reason: str | None) -> str:
        _ = self._gettext
        words = {
            "sold_out": _("What you wanted was sold out just before it was your order's turn."),
            "over_limit": _("It is more than one buyer may have in this sale."),
            "pass_used": _("This turn in line has bought already."),
            "not_on_sale": _("The sale does not offer one of these products."),
            "bad_address": _("The delivery address cannot be used."),
            "account_closed": _("The account has been closed."),
        }.get(reason or "", _("Something went wrong on our side. We are sorry."))
        return words + " " + _("Nothing was charged, and your turn is still open until its time is up.")

    # ------------------------------------------------------------ refusals

    def problem_title(self, code: str, title: str) -> str:
        """The title of a problem by its stable code; `title` where no better word is known."""
        _ = self._gettext
        return {
            "not_found": _("There is nothing here"),
            "unknown_sale": _("There is no such sale"),
            "unknown_product": _("There is no such product"),
            "unknown_order": _("There is no such order"),
            "no_ticket": _("You have no place in this line"),
            "not_signed_in": _("Please log in first"),
            "foreign_request": _("This form is out of date"),
            "unverified": _("Please confirm your e-mail address first"),
            "forbidden": _("Your account may not do that"),
            "bad_credentials": _("E-mail or password is not right"),
            "bad_code": _("The code is not right, or no longer valid"),
            "bad_fields": _("Please check these fields"),
            "invalid_fields": _("Please check these fields"),
            "too_many_attempts": _("Too many attempts"),
            "overloaded": _("Very many people are logging in"),
            "too_early": _("The lobby has not opened yet"),
            "line_closed": _("The line takes nobody any more"),
            "sold_out": _("Sold out"),
            "not_called": _("It is not your turn"),
            "not_called_yet": _("You have not been called yet"),
            "turn_lapsed": _("Your turn is over"),
            "already_extended": _("You have had more time already"),
            "order_open": _("You have an open order"),
            "halted": _("The sale is halted for a moment"),
            "not_admitted": _("The checkout is not open for you"),
            "pass_used": _("This turn in line has bought already"),
            "over_limit": _("More than one buyer may have"),
            "not_on_sale": _("The sale does not offer this product"),
            "sale_closed": _("The sale is over"),
            "sale_frozen": _("This can no longer be changed"),
            "lane_busy": _("Very many orders are coming in"),
            "lane_recovering": _("Orders will be accepted again in a moment"),
            "lane_unavailable": _("The order could not be accepted just now"),
            "room_unavailable": _("The line does not answer at the moment"),
            "unavailable": _("Please try again in a moment"),
            "illegal_move": _("This is not possible any more"),
            "idempotency_key_reused": _("This order was sent already"),
            "orders_open": _("You have open orders"),
            "fault": _("Something went wrong on our side"),
        }.get(code, title)

    def problem_detail(self, code: str) -> str:
        """What to do about a problem; empty where the title says it all."""
        _ = self._gettext
        return {
            "not_found": _("The address may be mistyped, or the page has moved."),
            "unknown_sale": _("It may have ended, or the address is mistyped."),
            "no_ticket": _("Join the line on the page of the sale."),
            "foreign_request": _("Please go back, load the page again, and send the form once more."),
            "bad_credentials": _("Please check both and try again."),
            "bad_code": _("Please check the newest mail. After a few wrong tries a new code is needed."),
            "too_many_attempts": _("Please wait a little before you try again."),
            "overloaded": _(
                "Nothing is wrong with your account. Please try again in a few seconds; places in line are not affected."
            ),
            "turn_lapsed": _("The time to start the checkout is over."),
            "order_open": _("Cancel or pay it first."),
            "halted": _("The shop is checking something. Every place and every turn is kept."),
            "not_admitted": _("Your turn may be over, or you are logged in to another account."),
            "lane_busy": _("Nothing was used up. Please send the order again in a few seconds."),
            "lane_recovering": _("Nothing was used up. Please send the order again in a few seconds."),
            "lane_unavailable": _("Nothing was used up. Please send the order again in a few seconds."),
            "room_unavailable": _("Your place is kept."),
            "fault": _("We have taken a note of it. Your place and your orders are kept."),
        }.get(code, "")

    def field_fault(self, field: str, message: str) -> str:
        """What is wrong with a field, in the reader's words; the fault's own English text where no better word is known."""
        _ = self._gettext
        if self.locale == "en":
            return message[:1].upper() + message[1:] if message else message
        return {
            "email": _("Please write an e-mail address such as name@example.com."),
            "password": _("Please choose a password of at least 8 characters."),
            "name": _("Please write a name of at most 100 characters."),
            "phone": _("Please write a phone number of digits, spaces and hyphens."),
            "code": _("Please write the code from the mail."),
            "slug": _("Please use small letters, digits and hyphens; each name only once."),
            "lobby_opens_at": _("Please check this time: lobby, then start, then end."),
            "opens_at": _("Please check this time: lobby, then start, then end."),
            "closes_at": _("Please check this time: lobby, then start, then end."),
        }.get(field, _("Please check this field."))
