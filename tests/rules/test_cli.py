"""The command line: every verb explains itself, and every expected fault is one line with an exit code."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from firstcome.cli import cli

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "FIRSTCOME_BASE_URL": "https://sale.example.com",
    "FIRSTCOME_REDIS_URL": "redis://127.0.0.1:1/0",
    "FIRSTCOME_DATABASE_URL": "mysql://nobody@127.0.0.1:1/nothing",
    "FIRSTCOME_SECRET_KEYS": "k1:" + base64.urlsafe_b64encode(bytes(range(32))).decode(),
    "FIRSTCOME_SMTP_URL": "smtp://127.0.0.1:1",
    "FIRSTCOME_MAIL_FROM": "tickets@example.com",
}
VERBS = [
    *("serve", "admit", "work", "sweep", "simulator"),
    *("migrate", "doctor", "operator", "keys", "reconcile", "rehearse", "verify-draw", "demo", "demo-tokens"),
]


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, words, env={**SETTINGS, **environment})


def test_the_verbs_are_exactly_these() -> None:
    assert sorted(cli.commands) == sorted(VERBS)
    operator = cli.commands["operator"]
    assert isinstance(operator, click.Group)
    assert list(operator.commands) == ["create", "disable"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_its_exit_codes(verb: str) -> None:
    words = [verb, *{"operator": ["create"], "keys": ["rotate"]}.get(verb, [])]
    shown = run(*words, "--help")

    assert shown.exit_code == 0
    assert "Exit codes" in shown.output
    assert len(shown.output.splitlines()) > 5


def test_wrong_usage_is_exit_code_2() -> None:
    assert run("work", "--queue", "everything").exit_code == 2
    assert run("frobnicate").exit_code == 2


@pytest.mark.parametrize("words", [("migrate",), ("reconcile",)])
def test_a_database_that_does_not_answer_is_one_line(words: tuple[str, ...]) -> None:
    said = run(*words)

    assert said.exit_code == 1
    assert said.output == "firstcome: the database does not answer; see `firstcome doctor`.\n"


def test_a_database_without_our_tables_is_one_line(tmp_path: Path) -> None:
    empty = {"FIRSTCOME_DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite"}
    said = run(*("keys", "rotate"), **empty)

    assert said.exit_code == 1
    assert (
        said.output
        == "firstcome: the database has another schema than this version; see `firstcome doctor`.\n"
    )


def test_the_doctor_names_everything_that_gives_no_answer_and_how_to_mend_it() -> None:
    said = run("doctor")

    assert said.exit_code == 1
    for subject, name in (
        ("Redis", "FIRSTCOME_REDIS_URL"),
        ("database", "FIRSTCOME_DATABASE_URL"),
        ("mail", "FIRSTCOME_SMTP_URL"),
    ):
        assert f"WRONG  {subject}" in said.output
        assert f"or correct {name}." in said.output


def test_demo_tokens_exist_only_beside_a_demo() -> None:
    said = run("demo-tokens", "--count", "1")

    assert said.exit_code == 1
    assert said.output == "firstcome: demo-tokens exists only beside a demo.\n"


def test_the_payment_stand_in_exists_only_in_a_demo() -> None:
    said = run("simulator")

    assert said.exit_code == 1
    assert said.output == "firstcome: simulator exists only in a demo.\n"


def test_the_stand_in_needs_its_url() -> None:
    # As a process of its own: it sets up its log.
    command = [sys.executable, "-m", "firstcome", "simulator"]
    demo = {**os.environ, **SETTINGS, "FIRSTCOME_DEMO": "true"}
    said = subprocess.run(command, env=demo, capture_output=True, text=True, check=False)

    assert said.returncode == 2
    assert "FIRSTCOME_SIMULATOR_URL names no port" in said.stderr


def test_make_alone_lists_the_verbs() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for verb in ("demo", "test", "lint", "format", "load"):
        assert f"make {verb} " in shown
