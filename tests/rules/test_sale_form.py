"""The boxes of a sale's form: what is ticked is on, what is not sent is off, and taking a tick away is a difference."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.pages.operator import fields
from gateway.pages.render import Form


def form(**ticked: str) -> Form:
    return Form({**fields.blank(datetime(2030, 5, 1, tzinfo=UTC), "UTC"), **ticked})


def test_a_box_that_is_not_sent_is_off() -> None:
    read = fields.Reader(form(challenge="yes"), []).fields(fields.SWITCHES)
    assert read == {"guests": False, "challenge": True}


def test_a_tick_that_was_taken_away_differs_from_one_that_is_there() -> None:
    assert fields.differing(form(), form(guests="yes")) == [("guests", "yes", "")]
    assert fields.differing(form(guests="yes"), form(guests="")) == [("guests", "", "yes")]
