"""What pages say, without a browser: languages, catalogues, estimates, times, and where a form may lead."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.pages.language import LOCALES, preferred, same_site, translations, words_in
from gateway.pages.words import UNBOUGHT, face_of
from shop.orders.story import Moment
from waiting_room.estimate import Reason
from waiting_room.states import TicketState
from waiting_room.window import Phase

GATEWAY = Path(__file__).parents[2] / "gateway"
CATALOGUE = GATEWAY / "locales/ko/LC_MESSAGES/messages.po"


@dataclass(frozen=True)
class Range:
    low_s: int | None
    high_s: int | None


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("", "en"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
        ("en-GB,en;q=0.9,ko;q=0.8", "en"),
        ("de,ko;q=0.1", "ko"),
        ("fr, *;q=0.1", "en"),
        ("ko;q=0, en", "en"),
        ("ko;q=x", "en"),
    ],
)
def test_the_best_language_that_is_asked_for_is_spoken(header: str, locale: str) -> None:
    assert preferred(header) == locale


@given(st.text(max_size=200))
def test_any_header_gives_a_language(header: str) -> None:
    assert preferred(header) in LOCALES


@given(st.text(max_size=100) | st.text("/\\\t\n :@.a%", max_size=8))
@example("//elsewhere.test/")
@example("/\\elsewhere.test/")
@example("https://elsewhere.test/")
def test_any_way_on_stays_on_this_site(wanted: str) -> None:
    path = same_site(wanted)
    assert path.startswith("/")
    assert not path.startswith("//")
    assert "\\" not in path


def _said() -> set[str]:
    jinja = {"extensions": "jinja2.ext.i18n", "trim_blocks": "true", "lstrip_blocks": "true"}
    methods = [("pages/**.py", "python"), ("templates/**.html", "jinja2")]
    found = extract_from_dir(GATEWAY, methods, {"templates/**.html": jinja})
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


def test_everything_that_is_said_is_said_in_korean_and_nothing_else() -> None:
    catalogue = read_po(io.BytesIO(CATALOGUE.read_bytes()))
    korean = {message.id: message.string for message in catalogue if message.id}
    assert _said() == set(korean)
    assert all(korean.values())
    assert not any(message.fuzzy for message in catalogue if message.id)


def test_placeholders_are_the_same_in_both_languages() -> None:
    for message in read_po(io.BytesIO(CATALOGUE.read_bytes())):
        if message.id:
            wrong = [str(error) for error in message.check()]
            assert not wrong, message.id
            for mark in ("{low}", "{high}", "{n}", "{ahead}", "{left}", "{time}"):
                assert (mark in str(message.id)) == (mark in str(message.string)), message.id


def test_the_pages_speak_what_the_catalogue_says() -> None:
    catalogue = read_po(io.BytesIO(CATALOGUE.read_bytes()))
    spoken = translations("ko")
    for message in catalogue:
        if isinstance(message.id, str) and message.id:
            assert spoken.gettext(message.id) == message.string


@pytest.mark.parametrize(
    ("low_s", "high_s", "said"),
    [
        (None, None, "No estimate at the moment"),
        (0, 40, "Less than a minute"),
        (50, 61, "Up to 2 min"),
        (61, 119, "1–2 min"),
        (30, 100, "Up to 2 min"),
        (120, 120, "About 2 min"),
        (250, 430, "4–8 min"),
        (5000, 9000, "1–3 h"),
    ],
)
def test_an_estimate_is_a_range_in_plain_words(low_s: int | None, high_s: int | None, said: str) -> None:
    words = words_in("en")
    assert words.estimate(Range(low_s, high_s), words.estimate_words()) == said


def test_a_countdown_never_shows_less_than_nothing() -> None:
    now = datetime(2030, 5, 1, tzinfo=UTC)
    left = words_in("en").time_left
    assert left(now + timedelta(seconds=118), now) == "1:58"
    assert left(now + timedelta(seconds=117.2), now) == "1:58"
    assert left(now + timedelta(hours=1, seconds=5), now) == "1:00:05"
    assert left(now + timedelta(days=1, seconds=5), now) == "1 day 0:00:05"
    assert words_in("ko").time_left(now + timedelta(days=2, hours=3), now) == "2일 3:00:00"
    assert left(now - timedelta(seconds=5), now) == "0:00"


def test_money_and_moments_are_written_as_readers_expect() -> None:
    at = datetime(2030, 5, 1, 1, 2, 3, tzinfo=UTC)
    assert words_in("ko").money(48_000, "KRW") == "₩48,000"
    assert words_in("en").money(1250, "USD") == "$12.50"
    assert words_in("ko").moment(at) == "10:02 KST"
    assert words_in("en").moment(at, "seconds") == "01:02:03 UTC"


@pytest.mark.parametrize("locale", LOCALES)
def test_the_facts_of_a_story_are_told_in_plain_words(locale: str) -> None:
    words, at = words_in(locale), datetime(2026, 1, 1, 1, 2, 3, tzinfo=UTC)
    payment = {"payment_id": "pay-1", "provider": "simulator", "amount": 48_000, "currency": "KRW"}
    payment |= {
        "captured": 48_000,
        "refunded": 0,
        "began_at": at.isoformat(),
        "review_reason": "refund_outside",
    }
    moments = [
        Moment(at, "turn", "free", {"number": 1_482, "turn": 1, "detail": "paid"}),
        Moment(at, "turn", "claim", {"number": 1_482, "turn": 1, "detail": "1767229323 kid"}),
        Moment(at, "order", "rejected", {"seq": 7, "reason": "sold_out"}),
        Moment(at, "order", "changed", {"state": "refunding", "review_reason": "amount_mismatch"}),
        Moment(at, "stock", "hold", {"sale_item_id": 3, "held": 2, "sold": 0, "actor": "provider:simulator"}),
        Moment(at, "reservation", "released", {"sale_item_id": 3, "quantity": 2, "reason": "expired"}),
        Moment(at, "payment", "succeeded", payment),
        Moment(at, "callback", "paid", {"event_type": "payment.succeeded", "event_id": "e", "payment_id": "pay-1"}),
        Moment(at, "effect", "dead", {"outbox_id": 1, "effect": "mail", "name": "partly-1000", "attempts": 2, "last_error": "x"}),
        Moment(at, "operator", "ship", {"operator_id": "o", "operator": "Lee", "from": "fulfilling", "to": "shipped"}),
    ]  # fmt: skip
    told = [words.moment_facts(moment) for moment in moments]
    known = {name for moment in moments for name in moment.detail}
    assert not known & {fact.name for facts in told for fact in facts}, "a name of the API is told as it is"
    if locale == "ko":
        assert all("\uac00" <= max(fact.name) <= "\ud7a3" for facts in told for fact in facts)
    codes = {"pay-1", "payment.succeeded", "e", "1", "x"}
    assert {fact.text for facts in told for fact in facts if fact.code} == codes
    assert [fact.at for facts in told for fact in facts if fact.at] == [at]
    texts = [fact.text for facts in told for fact in facts if not fact.code]
    assert texts.count("₩48,000") == 2
    assert "+2" in texts
    assert words.order_word("shipped") in texts
    assert not [text for text in texts if "_" in text or "kid" in text]


@pytest.mark.parametrize("locale", LOCALES)
def test_every_state_and_phase_has_words(locale: str) -> None:
    words = words_in(locale)
    faces = {face_of(state, reason) for state in TicketState for reason in (None, *Reason)} | {UNBOUGHT}
    assert face_of("done", None, "ended") == UNBOUGHT
    assert face_of("done", None, "paid") == "done"
    assert faces > set(TicketState)
    assert {face for face, _ in words.headlines()} == faces
    assert {face for face, _ in words.leads()} == faces
    for said in (
        dict(words.headlines(to_site=True))["admitted"],
        dict(words.leads(to_site=True))["admitted"],
    ):
        assert said not in dict(words.headlines() + words.leads()).values()
    sentences = dict(words.sentences())
    for face in faces:
        assert f"title-{face}" in sentences
        assert f"state-{face}" in sentences
    assert sorted(reason for reason, _ in words.reasons()) == sorted(Reason), "the page shows them all"
    for phase in Phase:
        assert words.phase_word(phase) != phase.value
        assert words.phase_meaning(phase)
    held_back = dict(words.limits())
    ticks = {"none", "rate", "capacity", "stock", "backlog", "provider_down", "rebuilding", "drawing"}
    assert ticks | (set(Phase) - {Phase.OPEN, Phase.DRAINING}) == set(held_back)
    assert all(held_back.values())
