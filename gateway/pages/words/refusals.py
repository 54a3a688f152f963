"""What is said when something is refused: by the stable code of a problem, and by the field of a form."""

from __future__ import annotations

import re
from typing import Any

from gateway.pages.words.figures import Figures

# "must be from 1 to 20", "must be from 3, which are held or sold, to 20"
_BOUNDS = re.compile(r"must be from (?P<least>[\d.]+)(?:,[^\d]*,)? to (?P<most>[\d.]+)$")


def fault_of(problem: Any, name: str) -> str:
    """What is wrong with one field of a form; empty when nothing is."""
    faults = problem.errors if problem else ()
    return next((fault.message for fault in faults if fault.field == name), "")


class RefusalWords(Figures):
    """Words for problems."""

    def problem_title(self, code: str, title: str) -> str:
        """The title of a problem by its stable code; `title` where no better word is known."""
        _ = self._gettext
        return {
            "not_found": _("There is nothing here"),
            "unknown_sale": _("There is no such sale"),
            "unknown_product": _("There is no such product"),
            "unknown_order": _("There is no such order"),
            "unknown_site": _("The waiting room does not know this site"),
            "not_stuck": _("This is not stuck any more"),
            "undecided": _("This order is not decided yet"),
            "not_over_yet": _("The sale has not ended yet"),
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
            "too_many_joins": _("Too many joins"),
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
            "precondition_failed": _("Somebody else has changed it meanwhile"),
            "lane_busy": _("Very many orders are coming in"),
            "lane_recovering": _("Orders will be accepted again in a moment"),
            "lane_unavailable": _("The order could not be accepted just now"),
            "room_unavailable": _("The line does not answer at the moment"),
            "unavailable": _("Please try again in a moment"),
            "illegal_move": _("This is not possible any more"),
            "idempotency_key_reused": _("This order was sent already"),
            "orders_open": _("You have open orders"),
            "provider_unavailable": _("The payment provider does not answer"),
            "provider_refused": _("The payment provider does not take this payment"),
            "still_running": _("This payment is being started"),
            "under_review": _("A payment of this order is being looked at"),
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
            "provider_unavailable": _(
                "Nothing was charged. Please try again in a moment; your order stays held."
            ),
            "provider_refused": _("Nothing was charged. Please try again, or another way to pay."),
            "still_running": _("Please wait a moment and try again."),
            "bad_credentials": _("Please check both and try again."),
            "bad_code": _("Please check the newest mail. After a few wrong tries a new code is needed."),
            "too_many_attempts": _("Please wait a little before you try again."),
            "overloaded": _(
                "Nothing is wrong with your account: too many people ask at this moment. Places in line are not affected."
            ),
            "precondition_failed": _(
                "Nothing was saved yet, and nothing that you typed is lost. Look at it and save again."
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
        if said := self._fault_by_words(message):
            return said
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
            "reason": _("Please write the reason in a few words."),
        }.get(field.partition("-")[0], _("Please check this field."))

    def _fault_by_words(self, message: str) -> str:
        """A fault that says more than its field does; empty where it does not."""
        _ = self._gettext
        if bounds := _BOUNDS.match(message):
            return _("Please choose a number from %(least)s to %(most)s.") % bounds.groupdict()
        return {
            "must be a whole number": _("Please write a whole number."),
            "is taken by another sale": _("Another sale has this name already."),
            "is more than the shop has on hand": _("The shelf does not hold so many units."),
            "allot units of at least one product": _("Please allot units of at least one product."),
            "must be in the future": _("Please choose a time in the future."),
            "must not be in the past": _("Please choose a time that is not over."),
            "must be later than the sale starts now": _("Please choose a later start than the present one."),
            "must be an amount of money": _("Please write an amount, such as 12000."),
        }.get(message, "")
