"""The compose file and the image start what the command line offers, with settings that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from firstcome.cli import cli
from firstcome.settings import Settings, variable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVERS = {"mysql", "redis"}
ONCE = {"migrate", "doctor"}


def own_services() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in COMPOSE["services"].items() if name not in SERVERS}


def test_every_service_runs_a_verb_of_the_command_line() -> None:
    for service in own_services().values():
        verb, *options = service["command"]
        context = cli.commands[verb].make_context(verb, options, resilient_parsing=False)
        assert context.command.name == verb


def test_every_kind_of_process_is_a_service() -> None:
    run = {" ".join(service["command"]) for service in own_services().values()}

    assert run >= {"serve", "admit", "work --queue lanes", "work --queue outbox", "sweep", "migrate"}


def test_everything_that_stays_has_a_healthcheck() -> None:
    for name, service in COMPOSE["services"].items():
        assert name in ONCE or service["healthcheck"]["test"], name


def test_redis_keeps_what_it_was_told() -> None:
    command = " ".join(COMPOSE["services"]["redis"]["command"])

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_only_settings_that_exist_are_set_and_the_example_names_what_is_needed() -> None:
    known = {variable(name) for name in Settings.model_fields}
    example = (ROOT / ".env.example").read_text()
    text = (ROOT / "docker-compose.yml").read_text()

    assert set(COMPOSE["x-firstcome"]["environment"]) <= known
    assert set(re.findall(r"^(FIRSTCOME_\w+)=", example, re.MULTILINE)) <= known
    for needed in re.findall(r"\$\{(\w+):\?", text):
        assert re.search(rf"^{needed}=", example, re.MULTILINE), needed


def test_the_image_runs_as_an_unprivileged_user() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()

    assert "USER firstcome" in lines
    assert lines.index("USER firstcome") < lines.index('ENTRYPOINT ["firstcome"]')


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    """Asks docker-compose where there is one; it needs no engine. The tests above hold everywhere."""
    program = shutil.which("docker-compose")
    if program is None:
        return
    filled = re.sub(r"^(\w+)=$", r"\1=something", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    (tmp_path / "env").write_text(filled)
    command = [
        program,
        "--env-file",
        str(tmp_path / "env"),
        "-f",
        str(ROOT / "docker-compose.yml"),
        "config",
        "--quiet",
    ]

    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
