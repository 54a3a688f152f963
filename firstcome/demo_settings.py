"""What may be chosen for a demo, and the settings that a demo makes out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from firstcome.settings import PREFIX, Settings, SettingsFault, sentences_of


class DemoChoices(BaseSettings):
    """What may be chosen for `firstcome demo`; servers that are not named are found or started. `.env` is left alone."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    port: int = Field(
        8000, ge=1, le=65534, description="a port from 1 to 65534; the payment stand-in takes the next one"
    )
    data_dir: Path = Field(Path(".firstcome"), description="a folder for the demo's data")
    redis_url: str = Field("", repr=False, description="a URL such as redis://127.0.0.1:6379/0, or nothing")
    database_url: str = Field(
        "", repr=False, description="a URL such as mysql://user@host/firstcome, or nothing"
    )


def load_demo_choices() -> DemoChoices:
    """The choices for the demo from the environment. Raises SettingsFault."""
    try:
        return DemoChoices()
    except ValidationError as error:
        raise SettingsFault(sentences_of(DemoChoices, error)) from None


def demo_settings(
    choices: DemoChoices,
    *,
    folder: Path,
    redis_url: str,
    database_url: str,
    mail_folder: Path,
    secrets: dict[str, str],
) -> Settings:
    """The settings of a demo: the given ones, and whatever else the environment says. Raises SettingsFault."""
    given: dict[str, Any] = {
        "demo": True,
        "port": choices.port,
        "data_dir": folder,
        "redis_url": redis_url,
        "database_url": database_url,
        "mail_sink_dir": mail_folder,
        "mail_from": "firstcome@example.test",
        "simulator_url": f"http://127.0.0.1:{choices.port + 1}",
        **secrets,
    }
    try:
        return Settings(_env_file=None, **given)
    except ValidationError as error:
        raise SettingsFault(sentences_of(Settings, error)) from None
