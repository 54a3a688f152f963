"""The waiting page under a magnifying glass: its questions are counted, its time is held, its answers are changed on the way.

The shipped files run in a real browser against the real server; only what a bad day does to them is done by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Page, Route, expect

Change = Callable[[dict[str, Any]], dict[str, Any]]
Mishap = Callable[[Route], None]

STEP_MS = 1_000  # answers arrive between two steps, not within one

# Counts what the page asks and what came of it, and lets a test hide the page. `Date` can be wrong, and set meanwhile.
_GLASS = """
window.asked = 0; window.answered = 0;
const real = window.fetch;
const nextTask = () => new Promise((go) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = go;
  port2.postMessage(null);
});
window.fetch = (address, options) => {
  if (!String(address).endsWith("/ticket")) return real(address, options);
  window.asked += 1;
  const answer = real(address, options);
  answer.then((got) => got.clone().text()).catch(() => null).then(nextTask).then(() => (window.answered += 1));
  return answer;
};
let hidden = false;
Object.defineProperty(document, "hidden", { get: () => hidden });
window.setHidden = (value) => { hidden = value; document.dispatchEvent(new Event("visibilitychange")); };
let wrong = __WRONG__;
const now = Date.now.bind(Date);
Date.now = () => now() + wrong;
window.moveClock = (ms) => { wrong += ms; };
"""


class Glass:
    """A waiting page whose buyer is in line; make it before the page goes there."""

    def __init__(self, page: Page, slug: str, clock_wrong_ms: int = 0) -> None:
        self.page = page
        self.address = f"/sales/{slug}/line"
        self._mishap: Mishap | None = None
        self._change: Change | None = None
        self._real: dict[str, Any] | None = None
        page.add_init_script(_GLASS.replace("__WRONG__", str(clock_wrong_ms)))
        page.route(f"**/api/v1/sales/{slug}/ticket", self._answer)

    def _answer(self, route: Route) -> None:
        if self._mishap is not None:
            self._mishap(route)
        elif self._change is not None:
            if (
                self._real is None
            ):  # once: the page's time runs faster than the server's, which would call that hammering
                self._real = route.fetch().json()
            route.fulfill(json=self._change({**self._real, "as_of": datetime.now(UTC).isoformat()}))
        else:
            route.continue_()

    def open(self) -> Page:
        """Go there, with the server's own answers."""
        self.page.goto(self.address)
        return self.page

    def open_with_time_held(self) -> Page:
        """Go there with timers that run only when the test lets them. The worker that keeps time cannot be held: the page does
        without it, as where workers are forbidden."""
        self.page.route("**/timer.js", lambda route: route.abort())
        self.page.clock.install()
        page = self.open()
        page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))
        return page

    def change(self, change: Change | None) -> None:
        """What becomes of the server's answers from now on."""
        self._mishap, self._change = None, change

    def break_by(self, mishap: Mishap) -> None:
        """What happens to questions from now on."""
        self._mishap = mishap

    def heal(self) -> None:
        """The answers arrive as the server gave them."""
        self._mishap = self._change = None

    def counts(self) -> tuple[int, int]:
        """Questions asked and settled so far."""
        asked, answered = self.page.evaluate("[window.asked, window.answered]")
        return int(asked), int(answered)

    def pass_time(self, ms: int) -> int:
        """Let the page's time pass; how many questions it asked meanwhile. Every one of them is settled."""
        before, _ = self.counts()
        for passed in range(0, ms, STEP_MS):
            self.page.clock.run_for(min(STEP_MS, ms - passed))
            self.settle()
        return self.counts()[0] - before

    def settle(self) -> None:
        """Until the page has taken every answer."""
        expect(self.page.locator("#line")).to_be_attached()
        while True:
            asked, answered = self.counts()
            if asked == answered:
                return
            self.page.evaluate("0")  # the answers arrive meanwhile
