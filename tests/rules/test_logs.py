"""Nothing secret or personal reaches a log line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from firstcome.logs import MASK, close_personal_fields

SCRIPT = """
import logging, structlog
from firstcome import logs
logs.configure("serve", "info", "json")
structlog.get_logger("shop").info("signed_in", email="jane@example.com", account_id="a1", password="hush")
structlog.get_logger("shop").debug("not shown")
logging.getLogger("somewhere.else").warning("plain %s", "words")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("shop").exception("failed")
"""


FAULT = """
import structlog
from firstcome import logs
logs.configure("serve", "info", "FORM")

def sign_in(form):
    password = form["password"]
    raise LookupError("nothing of it")

typed = {"password": "".join(["hu", "sh"]), "email": "@".join(["jane", "example.com"])}
try:
    sign_in(typed)
except LookupError:
    structlog.get_logger("shop").exception("failed")
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_trace_of_a_fault_shows_no_values(form: str) -> None:
    written = subprocess.run(
        [sys.executable, "-c", FAULT.replace("FORM", form)], capture_output=True, text=True, check=True
    ).stderr

    assert "LookupError: nothing of it" in written
    assert "hush" not in written
    assert "jane@example.com" not in written


def test_fields_with_secret_or_personal_names_are_masked_and_ids_are_not() -> None:
    event = {
        "event": "x",
        "email": "jane@example.com",
        "ticket_token": "t",
        "account_id": "a1",
        "session_id": "s1",
    }

    assert close_personal_fields(None, "info", event) == {
        "event": "x",
        "email": MASK,
        "ticket_token": MASK,
        "account_id": "a1",
        "session_id": "s1",
    }


def test_every_line_is_one_json_object_with_process_time_and_level() -> None:
    written = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    ).stderr

    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["event"] for line in lines] == ["signed_in", "plain words", "failed"]
    assert {line["process"] for line in lines} == {"serve"}
    assert all(line["at"] and line["level"] and line["logger"] for line in lines)
    assert "hush" not in written
    assert "jane@example.com" not in written
    assert "ZeroDivisionError" in lines[2]["exception"]
