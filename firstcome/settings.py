"""Every setting of the product, read once at start from `FIRSTCOME_*` and `.env`. The only reader of the environment.

A setting's description says what is expected; a fault quotes it, and all faults are named together. Outside demo mode weak
secrets, plain http origins and missing mail settings stop the start. Values that are secrets are never printed.
"""

from __future__ import annotations

import difflib
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from firstcome import setting_checks as checks
from firstcome import urls
from firstcome.keyring import Keyring, parse_keyring

PREFIX = "FIRSTCOME_"
MAKE_A_KEY = """python3 -c "import secrets; print('k1:' + secrets.token_urlsafe(32))\""""

# Where a running demo notes its settings, in its data folder.
DEMO_FILE = "demo.env"

# Never printed, not even in a fault.
SECRET = frozenset({"secret_keys", "simulator_api_key", "simulator_webhook_secrets"})
# Printed without the password that they may carry.
URLS = frozenset({"redis_url", "rq_redis_url", "database_url", "smtp_url"})

LONGEST_S = 10 * 365 * 86_400  # ten years: nearer to the ends of what can be counted no time can be added

Words = Annotated[tuple[str, ...], NoDecode]


class SettingsFault(Exception):
    """Settings that cannot be used; `faults` holds one plain sentence for each that is wrong."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Settings(BaseSettings):
    """All settings. `load_settings` reads them; `Settings(redis_url=…)` overrides some of them (tests)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    demo: bool = Field(
        False, description="true or false: a demo with made-up data, made-up mail and a payment stand-in"
    )

    host: str = Field("127.0.0.1", min_length=1, description="the address to listen on")
    port: int = Field(8000, ge=1, le=65535, description="a port from 1 to 65535")
    base_url: str = Field("", description="the public origin, for example https://sale.example.com")
    trusted_proxies: Words = Field(
        (), description="networks separated by commas, for example 10.0.0.0/8,::1/128"
    )
    gate_sites: Words = Field(
        (),
        description="origins of other hosts that the gate may lead buyers to, separated by commas, "
        "for example https://tickets.example.org",
    )
    data_dir: Path = Field(Path(".firstcome"), description="a folder for local data")

    redis_url: str = Field(
        "",
        repr=False,
        description="a URL such as redis://:password@host:6379/0, unix:///path?db=0 or "
        "redis+sentinel://:password@host1,host2,host3/mymaster/0",
    )
    rq_redis_url: str = Field(
        "",
        repr=False,
        description="a URL such as redis://:password@host:6379/1",
    )
    database_url: str = Field(
        "", repr=False, description="a URL such as mysql://user:password@host/firstcome"
    )
    pool_size: int = Field(5, ge=1, le=200, description="database connections a process may hold, 1 to 200")

    secret_keys: str = Field(
        "",
        repr=False,
        description=f"one or more keys as <id>:<32 random bytes in base64url>, the active one first; {MAKE_A_KEY} makes one",
    )

    serve_workers: int = Field(2, ge=1, le=128, description="a number of processes from 1 to 128")
    lane_workers: int = Field(2, ge=1, le=128, description="a number of processes from 1 to 128")
    outbox_workers: int = Field(1, ge=1, le=32, description="a number of processes from 1 to 32")

    smtp_url: str = Field(
        "",
        repr=False,
        description="a URL such as smtp://user:password@mail.example.com:587?starttls or smtps://…:465",
    )
    mail_from: str = Field("", description="the sender's address, for example tickets@example.com")
    mail_sink_dir: Path | None = Field(
        None, description="a folder that takes all mail instead of a mail server (demo only)"
    )

    simulator_url: str = Field(
        "", description="the origin of the payment stand-in, for example http://127.0.0.1:8001"
    )
    simulator_api_key: str = Field(
        "", repr=False, description="the key with which the shop asks the payment stand-in"
    )
    simulator_webhook_secrets: Words = Field(
        (),
        repr=False,
        description="secrets of the form whsec_<base64>, separated by commas, the newest first",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )
    log_format: Literal["json", "console"] = Field("json", description="json or console")

    argon2_memory_kib: int = Field(
        19_456, ge=8, le=4_194_304, description="memory of one password hash in KiB"
    )
    argon2_time_cost: int = Field(2, ge=1, le=64, description="passes of one password hash, 1 to 64")
    argon2_parallelism: int = Field(1, ge=1, le=16, description="lanes of one password hash, 1 to 16")
    login_threads: int = Field(
        2, ge=1, le=64, description="passwords hashed at the same time in one process, 1 to 64"
    )
    login_queue: int = Field(
        32, ge=0, le=10_000, description="sign-ins that may wait for a free thread in one process"
    )

    # Timings of the line and the lanes. The defaults are meant for production; tests shorten them.
    turn_floor_s: float = Field(
        120, gt=0, le=604_800, description="the shortest turn window that a sale may set, in seconds"
    )
    # At least 1.25 s: whoever asks more than 8 times in 10 s is answered 429.
    poll_floor_ms: int = Field(
        1_300, ge=1, description="the shortest time between two polls, in milliseconds"
    )
    poll_ceiling_ms: int = Field(
        30_000, ge=1, description="the longest time between two polls, in milliseconds"
    )
    free_joins_per_network: int = Field(
        60,
        ge=0,
        description="places a minute that one network (IPv4 /24, IPv6 /56) may take before it is asked for a challenge",
    )
    unseen_s: float = Field(
        45, gt=0, le=86_400, description="seconds after which a turn that nobody has seen is free again"
    )
    lease_ms: int = Field(1_500, ge=50, description="life of the admission lease, in milliseconds")
    tick_ms: int = Field(200, ge=10, description="time between two ticks of the admission, in milliseconds")
    sweep_s: float = Field(2, gt=0, le=3_600, description="seconds between two rounds of the sweeper")
    slot_grace_s: float = Field(
        30, ge=0, le=86_400, description="seconds after which a forgotten checkout slot is free again"
    )
    access_token_s: int = Field(3_600, ge=1, le=LONGEST_S, description="life of an access token, in seconds")
    browser_session_s: int = Field(
        43_200, ge=1, le=LONGEST_S, description="life of a browser session, in seconds"
    )
    refresh_s: int = Field(2_592_000, ge=1, le=LONGEST_S, description="life of a refresh token, in seconds")
    payment_guarantee_s: float = Field(
        180, gt=0, le=86_400, description="seconds that a started payment has at least, up to 86400"
    )
    lane_max_age_s: float = Field(
        10, gt=0, le=86_400, description="age of the oldest undecided order at which new ones are put off"
    )
    lane_max_length: int = Field(5_000, ge=1, description="undecided orders at which new ones are put off")
    # A visit to a lane is ended by force after half a minute, and the transaction of a silent worker after ten seconds.
    slice_s: float = Field(2.0, gt=0, le=15, description="seconds that a worker stays at one lane, up to 15")
    batch_ms: float = Field(
        50, gt=0, le=5_000, description="milliseconds of decisions in one transaction, up to 5000"
    )
    batch_max: int = Field(500, ge=1, le=5_000, description="orders in one transaction, 1 to 5000")

    @cached_property
    def keyring(self) -> Keyring:
        """The parsed `secret_keys`."""
        return parse_keyring(self.secret_keys)

    @property
    def secure(self) -> bool:
        """Whether buyers reach the site by https (cookies then carry the `__Host-` prefix)."""
        return self.base_url.startswith("https://")

    _split_words = field_validator(
        "trusted_proxies", "gate_sites", "simulator_webhook_secrets", mode="before"
    )(checks.split_words)
    _networks = field_validator("trusted_proxies")(checks.networks)
    _other_sites = field_validator("gate_sites")(checks.other_origins)
    _public_origin = field_validator("base_url")(checks.public_origin)
    _redis = field_validator("redis_url", "rq_redis_url")(checks.redis_server)
    _database = field_validator("database_url")(urls.database)
    _strong_keys = field_validator("secret_keys")(checks.strong_keys)
    _mail = field_validator("smtp_url", "mail_from")(checks.mail)
    _sink = field_validator("mail_sink_dir")(checks.sink_for_demos)
    _stand_in = field_validator("simulator_url")(checks.stand_in_for_demos)
    _stand_in_secrets = field_validator("simulator_api_key", "simulator_webhook_secrets")(
        checks.stand_in_secrets
    )
    _time_to_poll = field_validator("poll_ceiling_ms")(checks.time_to_poll)

    def masked(self) -> dict[str, str]:
        """Every setting by its variable's name, as it may be shown: secrets as `set` or `missing`, URLs without password."""
        return {variable(name): self._shown(name) for name in type(self).model_fields}

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name == "secret_keys":
            return f"set (active {self.keyring.active}, {len(self.keyring.keys)} in all)"
        if name in SECRET:
            return "set" if value else "missing"
        if name in URLS:
            return urls.without_password(value)
        return ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)

    def as_environment(self) -> dict[str, str]:
        """The settings that differ from their defaults as environment variables, for a child process."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        values = {name: getattr(self, name) for name in defaults}
        return {
            variable(name): ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
            if value != defaults[name] and value is not None
        }


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """The settings from the environment and the file. Raises SettingsFault with every fault and misspelt name."""
    unknown = _unknown_names(env_file)
    try:
        settings = Settings(_env_file=env_file)
    except ValidationError as error:
        raise SettingsFault(sentences_of(Settings, error) + unknown) from None
    if unknown:
        raise SettingsFault(unknown)
    return settings


def load_settings_or_demo() -> Settings:
    """As `load_settings`; where nothing is set, those of the demo that runs in the data folder.

    For the verbs that a person types beside a running demo, never for a process that serves.
    """
    if not (_given_names(Path(".env")) - {variable("data_dir"), variable("port")}):
        demo_file = _data_dir() / DEMO_FILE
        if demo_file.is_file():
            return load_settings(demo_file)
    return load_settings()


def inherited_environment() -> dict[str, str]:
    """The environment for a child process without any of this product's settings, which are handed over separately."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}


def _data_dir() -> Path:
    return Path(os.environ.get(variable("data_dir")) or Settings.model_fields["data_dir"].default)


def _given_names(env_file: Path | None) -> set[str]:
    names = list(os.environ) + (list(dotenv_values(env_file)) if env_file and env_file.is_file() else [])
    return {name.upper() for name in names if name.upper().startswith(PREFIX)}


def _unknown_names(env_file: Path | None) -> list[str]:
    known = [variable(name) for name in Settings.model_fields]
    faults = []
    for name in sorted(_given_names(env_file) - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        faults.append(f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else "."))
    return faults


def sentences_of(model: type[BaseSettings], error: ValidationError) -> list[str]:
    """One sentence a faulty setting: what is wrong with it, and what was expected."""
    faults = []
    for fault in error.errors(include_url=False, include_input=True):
        name = str(fault["loc"][0])
        field = model.model_fields[name]
        if fault["type"] == "value_error":
            wrong = str(fault["ctx"]["error"])
            wrong = (
                wrong
                if wrong.startswith(("is ", "names ", "does ", "cannot "))
                else f"cannot be used: {wrong}"
            )
        elif name in SECRET or name in URLS:
            wrong = "cannot be used"
        else:
            wrong = f"is {fault['input']!r}"
        faults.append(f"{variable(name)} {wrong}. Expected: {field.description}.")
    return faults


def started_by_make() -> bool:
    """Whether this process is the recipe of a make."""
    return "MAKELEVEL" in os.environ
