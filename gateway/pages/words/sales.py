"""What is said about sales, stock and what an operator does with them."""

from __future__ import annotations

from gateway.pages.words.figures import Figures

PHASE_TONES = {
    "open": "go",
    "lobby": "go",
    "announced": "",
    "paused": "wait",
    "halted": "stop",
    "draining": "wait",
    "all_held": "wait",
}
# Phases in which nobody is called, as the line's gate names them.
CALLING_NOBODY = (
    "announced",
    "lobby",
    "paused",
    "halted",
    "all_held",
    "sold_out",
    "closed",
    "cancelled",
    "draft",
)
STOCK_TONES = {"available": "go", "low": "turn", "all_held": "wait"}


class SaleWords(Figures):
    """Words for phases, stock and actions."""

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
            "retry": _("is being tried again"),
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
            "extend-holds": _("all holds lengthened"),
            "create": _("sale window created"),
            "change": _("changes saved"),
            "postpone": _("start moved"),
            "set-allotment": _("units set"),
            "adjust-on-hand": _("count put right"),
        }.get(action, "")

    def mode_word(self, mode: str) -> str:
        _ = self._gettext
        return {"fifo": _("First come, first served"), "draw": _("Drawn by lot at the start")}.get(mode, mode)

    def mode_hint(self, mode: str) -> str:
        _ = self._gettext
        return {
            "fifo": _("Places go by the order of arrival in the lobby."),
            "draw": _(
                "All who wait in the lobby at the start stand in an order that chance has fixed before."
            ),
        }.get(mode, "")

    def limits(self) -> list[tuple[str, str]]:
        """What keeps more people from being called, in words: (code, sentence)."""
        _ = self._gettext
        return [
            ("none", _("Nobody is waiting.")),
            ("rate", _("Calls keep the pace that you have set.")),
            ("capacity", _("All places in checkout are taken; a call follows whenever one gets free.")),
            ("stock", _("As many are called as there are free units.")),
            ("backlog", _("Orders to be decided have piled up; calls wait for them.")),
            (
                "provider_down",
                _(
                    "The payment provider does not answer: nobody is called until it does. Those who hold units may need more time."
                ),
            ),
            ("rebuilding", _("The line is being put together again.")),
            ("drawing", _("The places are being drawn; calls begin in a moment.")),
            *((phase, self.phase_meaning(phase)) for phase in CALLING_NOBODY),
        ]
