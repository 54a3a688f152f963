"""What is said to those who wait."""

from __future__ import annotations

from gateway.pages.words.figures import Figures

STATE_TONES = {
    "called": "turn",
    "admitted": "in",
    "done": "in",
    "missed": "wait",
    "paused": "wait",
    "rebuilding": "wait",
    "provider_down": "wait",
    "all_held": "wait",
    "unbought": "rest",
    "left": "rest",
    "lapsed": "rest",
    "sold_out": "rest",
    "closed": "rest",
}
OUTLOOK_TONES = {"likely": "go", "uncertain": "wait", "unlikely": "stop", "gone": "stop"}
STATE_STEPS = {"called": 2, "missed": 2, "admitted": 3, "done": 5}


# A waiting buyer whose line stands still is shown that, with the same place. The reasons of an estimate name it.
UNBOUGHT = "unbought"
STANDSTILLS = frozenset({"paused", "rebuilding", "provider_down"})


def face_of(state: str, reason: str | None, outcome: str | None = None) -> str:
    """The face that a place wears on its page; `line.js` says the same.

    Its state, or why the line of a waiting buyer stands, or that a place which is done has bought nothing.
    """
    if (state, outcome) == ("done", "ended"):
        return UNBOUGHT
    return reason if state == "waiting" and reason in STANDSTILLS else state


class LineWords(Figures):
    """Words for the faces of a place."""

    def headlines(self, *, to_site: bool = False) -> list[tuple[str, str]]:
        """The headline of every face. `to_site`: the buyer came from another site's gate and goes on there."""
        _ = self._gettext
        admitted = _("The site is open for you") if to_site else _("The checkout is open for you")
        return [
            ("lobby", _("You are early, and your place is kept")),
            ("waiting", _("You are in line")),
            ("paused", _("The line is paused, and your place is kept")),
            ("rebuilding", _("The line is being put together again")),
            ("provider_down", _("Paying does not work just now, and your place is kept")),
            ("called", _("It is your turn")),
            ("missed", _("You missed your turn, but it is not lost")),
            ("admitted", admitted),
            ("done", _("All done. Thank you")),
            (UNBOUGHT, _("Your order ended without a purchase")),
            ("left", _("You have left the line")),
            ("lapsed", _("Your place has ended")),
            ("all_held", _("Everything is in checkout right now")),
            ("sold_out", _("Sold out")),
            ("closed", _("The sale is over")),
        ]

    def leads(self, *, drawn: bool = False, to_site: bool = False) -> list[tuple[str, str]]:
        """The sentence below the headline: what happens next. `drawn`: the places of the lobby are drawn by lot."""
        _ = self._gettext
        to_order = _("Choose what you want and place your order.")
        go_on = _("It is your turn there. Go on to the site.")
        in_lobby = _("When the sale starts, people are called in the order of their numbers.")
        before_draw = _(
            "When the sale starts, a draw gives everybody here a number. Being early or late makes no difference."
        )
        return [
            ("lobby", before_draw if drawn else in_lobby),
            ("waiting", _("We call people strictly in order. When it is your turn, this page tells you.")),
            (
                "paused",
                _("Nobody is called, so nobody overtakes you. It goes on as soon as the shop says so."),
            ),
            (
                "rebuilding",
                _("There was a fault. Your number stays the same, and this page goes on by itself."),
            ),
            (
                "provider_down",
                _(
                    "The payment provider does not answer, so nobody is called until it does. Nobody overtakes you, and this page goes on by itself."
                ),
            ),
            ("called", _("Start your checkout before the time is up. Nothing is bought yet.")),
            ("missed", _("Press “I am here” in time, and you are the next to be called.")),
            ("admitted", go_on if to_site else to_order),
            (
                "done",
                _(
                    "Your order is in. You find it under “My orders”. Your place in this line is used with it."
                ),
            ),
            (
                UNBOUGHT,
                _(
                    "It was cancelled or not paid in time, so it went on to the next. While the sale goes on you may join again, with a new number."
                ),
            ),
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
        """Why an estimate is missing or got longer; `{time}` stands for the moment."""
        _ = self._gettext
        return [
            ("paused", _("The shop paused the line at {time}.")),
            ("rate_lowered", _("The shop has called fewer people at a time since {time}.")),
            ("capacity_lowered", _("The shop has had fewer places in checkout since {time}.")),
            ("checkout_slow", _("Checkout is busy: calls follow as those who are in it get through.")),
            ("provider_down", _("The payment provider has not answered since {time}.")),
            ("stock_held", _("Buyers in checkout have held what is left since {time}.")),
            ("rebuilding", _("After a fault at {time} the line is being put together again.")),
            ("drawing", _("The sale started at {time}; the numbers are being drawn.")),
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
            ("title-paused", _("({ahead}) Paused")),
            ("title-rebuilding", _("One moment")),
            ("title-provider_down", _("({ahead}) Paused")),
            ("title-called", _("● Your turn, {left} left")),
            ("title-missed", _("● You missed your turn")),
            ("title-admitted", _("✓ Checkout is open")),
            ("title-done", _("✓ Done")),
            ("title-unbought", _("Your order has ended")),
            ("title-left", _("You have left the line")),
            ("title-lapsed", _("Your place has ended")),
            ("title-all_held", _("({ahead}) In line")),
            ("title-sold_out", _("Sold out")),
            ("title-closed", _("The sale is over")),
        ]

    def state_tone(self, state: str) -> str:
        return STATE_TONES.get(state, "")

    def outlook_tone(self, outlook: str) -> str:
        return OUTLOOK_TONES.get(outlook, "")

    def state_step(self, state: str) -> int:
        return STATE_STEPS.get(state, 1)
