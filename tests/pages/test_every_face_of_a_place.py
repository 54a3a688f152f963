"""Every face that a place can wear: accessible, nothing cut off, told to ears, tab and device. By keyboard, and on two devices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gateway.pages.words import UNBOUGHT, face_of
from tests.pages.conftest import Visit, Witness, called_buyer, log_in, open_sale, waiting_buyer
from tests.pages.test_for_everybody import too_wide, violations
from tests.pages.waiting import Glass
from tests.running import RunningDemo
from waiting_room.estimate import Reason
from waiting_room.states import TicketState

FACES = sorted({face_of(state, reason) for state in TicketState for reason in (None, *Reason)} | {UNBOUGHT})
# The last ones end the page's questions.
FACES.sort(key=lambda face: face in ("done", UNBOUGHT, "left", "lapsed", "closed"))


def worn(face: str) -> dict[str, Any]:
    """What the server would answer to somebody whose place wears this face."""
    now = datetime.now(UTC)
    state = "waiting" if face in ("paused", "rebuilding") else "done" if face == UNBOUGHT else face
    body: dict[str, Any] = {
        "state": state,
        "number": 1_482,
        "stock_outlook": "uncertain",
        "poll_after_ms": 30_000,
    }
    if face in ("lobby", "waiting", "paused", "all_held"):
        body |= {"position": 213, "ahead": 212, "waiting": 1_904}
    if face == "waiting":
        body |= {
            "estimate": {"low_s": 250, "high_s": 430},
            "be_back_by": (now + timedelta(seconds=250)).isoformat(),
        }
    if face in ("paused", "rebuilding"):
        reason = {"code": face, "at": (now - timedelta(minutes=5)).isoformat()}
        body |= {"estimate": {"low_s": None, "high_s": None, "reason": reason}}
    if face == UNBOUGHT:
        body |= {"outcome": "ended"}
    if face == "called":
        body |= {"turn_expires_at": (now + timedelta(seconds=118)).isoformat()}
    if face == "missed":
        body |= {"be_back_by": (now + timedelta(seconds=590)).isoformat()}
    return body | {
        "message": {"en": "The till restarts. Thank you.", "ko": "계산대를 다시 켭니다. 고맙습니다."}
    }


def in_line(visit: Visit, demo: RunningDemo, number: int, **how: Any) -> tuple[Page, Glass]:
    """A buyer in line, behind one who waits and one who was called; and the glass over the page."""
    slug, _ = open_sale(demo, 9, capacity=1)
    called_buyer(demo, 40, slug)
    waiting_buyer(demo, 39, slug)
    page = visit("/", **how)
    log_in(page, number, f"/sales/{slug}")
    page.locator("main form[action$='/join'] button").click()
    page.wait_for_url("**/line")
    return page, Glass(page, slug)


def wear(page: Page, glass: Glass, face: str) -> None:
    """Have the server's next answer show this face, and the page ask for it."""
    glass.change(
        lambda body: {**{key: body[key] for key in ("ticket", "ticket_id", "sale", "as_of")}, **worn(face)}
    )
    glass.open()
    page.evaluate("window.setHidden(false)")
    expect(page.locator("#line")).to_have_attribute("data-face", face)
    expect(page.locator("[data-fill=number]")).to_have_text("1,482")


@pytest.mark.parametrize(("width", "scheme", "locale"), [(320, "dark", "ko"), (1280, "light", "en")])
def test_every_face_is_accessible_and_fits(
    visit: Visit, witness: Witness, demo: RunningDemo, width: int, scheme: str, locale: str
) -> None:
    witness.foreseen = ("status of 429",)  # so many faces in a few seconds are many looks at one ticket
    number = {320: 41, 1280: 43}[width]
    page, glass = in_line(
        visit, demo, number, width=width, color_scheme=scheme, locale=locale, reduced_motion="reduce"
    )
    wrong = []
    for face in FACES:
        wear(page, glass, face)
        expect(page.locator("h1 span:visible")).to_have_count(1)
        wrong += [f"{face}: {fault}" for fault in violations(page)]
        if too_wide(page):
            wrong.append(f"{face} is wider than {width} px")
        if width == 1280:
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            if too_wide(page):
                wrong.append(f"{face} is too wide with its text twice as large")
    assert wrong == []


# A shell without a screen shows no notifications: what the page asks the device to show is noted in its place.
ALLOWED_NOTIFICATIONS = """
window.shown = [];
Object.defineProperty(Notification, "permission", { get: () => "granted" });
Notification.requestPermission = async () => "granted";
ServiceWorkerRegistration.prototype.showNotification = async (title, options) => { window.shown.push([title, options.data]); };
"""


def test_a_turn_is_told_to_the_tab_the_ears_and_the_device_of_those_who_wish_it(
    visit: Visit, demo: RunningDemo
) -> None:
    page, glass = in_line(visit, demo, 45)
    page.add_init_script(ALLOWED_NOTIFICATIONS)
    page.add_init_script(
        "window.tones = 0; const start = OscillatorNode.prototype.start;"
        "OscillatorNode.prototype.start = function (when) { window.tones += 1; return start.call(this, when); };"
    )
    wear(page, glass, "waiting")
    assert page.title().startswith("(212) In line")
    assert "%3E212%3C" in (page.locator("link[rel=icon]").get_attribute("href") or ""), (
        "the tab shows the place"
    )
    page.get_by_label("Play a sound").check()
    assert page.evaluate("window.tones") == 2, "a taste of it"
    page.get_by_label("Show a notification").check()
    wear(page, glass, "waiting")
    expect(page.get_by_label("Play a sound")).to_be_checked()
    expect(page.get_by_label("Show a notification")).to_be_checked()

    glass.change(lambda body: {**body, **worn("called")})
    page.evaluate("window.setHidden(true)")
    page.evaluate("window.setHidden(false)")
    expect(page.locator("#line")).to_have_attribute("data-face", "called")
    assert page.title().startswith("● Your turn, ")
    assert "called" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.evaluate("window.tones") == 6
    page.wait_for_function("window.shown.length")
    assert page.evaluate("window.shown") == [["It is your turn", page.evaluate("location.href")]]


def test_nobody_who_is_in_the_middle_of_something_is_interrupted(visit: Visit, demo: RunningDemo) -> None:
    page, glass = in_line(visit, demo, 46)
    wear(page, glass, "waiting")
    language = page.get_by_role("link", name="한국어")
    language.focus()
    glass.change(lambda body: {**body, **worn("called")})
    page.evaluate("window.setHidden(false)")
    expect(page.locator("#called-out")).to_have_text("It is your turn")
    expect(language).to_be_focused()


def test_the_way_so_far_never_goes_back(visit: Visit, demo: RunningDemo) -> None:
    page, glass = in_line(visit, demo, 47)
    glass.change(lambda body: {**body, **worn("waiting")})
    glass.open()
    way = []
    for ahead in (212, 100, 101, 50):
        glass.change(lambda body, ahead=ahead: {**body, **worn("waiting"), "ahead": ahead})  # type: ignore[misc]
        page.evaluate("window.setHidden(false)")
        expect(page.locator("[data-fill=ahead]")).to_have_text(str(ahead))
        way.append(float(page.locator("progress").get_attribute("value") or 0))
    assert way == sorted(way)
    assert way[0] == 0
    assert way[1] == way[2], "one who came back from a missed turn stands before us; the way is as it was"


def tab_to(page: Page, words: str) -> None:
    """By the Tab key alone, to the thing of that name."""
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and words in focused.inner_text():
            return
    raise AssertionError(f"the Tab key never came to {words!r}")


def test_the_line_and_the_turn_are_taken_by_keyboard_alone(visit: Visit, demo: RunningDemo) -> None:
    slug, _ = open_sale(demo, 9)
    page = visit("/")
    log_in(page, 48, f"/sales/{slug}")
    tab_to(page, "Join the line")
    page.keyboard.press("Enter")
    expect(page.locator("#line")).to_have_attribute("data-face", "called", timeout=12_000)
    tab_to(page, "I need more time")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="I need more time (once)")).to_be_hidden()
    page.reload()
    tab_to(page, "Start checkout")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Checkout")


def test_two_devices_show_the_same_place(visit: Visit, demo: RunningDemo) -> None:
    page, _ = in_line(visit, demo, 49)
    slug = page.url.split("/")[-2]
    number = page.locator("[data-fill=number]").inner_text()
    phone = visit("/", width=390, script=False)
    log_in(phone, 49, f"/sales/{slug}")
    phone.goto(f"/sales/{slug}/line")
    assert phone.locator("[data-fill=number]").inner_text() == number
    assert phone.locator("meta[http-equiv=refresh]").count() == 1, (
        "without a script the page looks again by itself"
    )
    assert page.locator("meta[http-equiv=refresh]").count() == 0, "with one it does not"
    phone.get_by_text("Leave the line", exact=True).click()
    phone.get_by_role("button", name="Yes, leave the line").click()
    expect(page.locator("#line")).to_have_attribute("data-face", "left", timeout=12_000)
