"""What the settings refuse, and how they say it."""

from __future__ import annotations

import base64
import contextlib
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.demo_settings import load_demo_choices
from firstcome.keyring import KEY_BYTES, KeyFault, Keyring, parse_keyring
from firstcome.settings import (
    DEMO_FILE,
    Settings,
    SettingsFault,
    load_settings,
    load_settings_or_demo,
)
from firstcome.urls import Watched, watched, without_password

KEY = base64.urlsafe_b64encode(bytes(range(KEY_BYTES))).decode()
GOOD = {
    "BASE_URL": "https://sale.example.com",
    "REDIS_URL": "redis://:hush-redis@redis:6379/0",
    "DATABASE_URL": "mysql://firstcome:hush-database@mysql/firstcome",
    "SECRET_KEYS": f"k2:{KEY},k1:{KEY}",
    "SMTP_URL": "smtp://shop:hush-mail@mail.example.com:587?starttls",
    "MAIL_FROM": "tickets@example.com",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Good production settings as environment variables, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name, value in GOOD.items():
        monkeypatch.setenv(f"FIRSTCOME_{name}", value)
    return monkeypatch


def faults() -> str:
    with pytest.raises(SettingsFault) as refused:
        load_settings()
    return "\n".join(refused.value.faults)


def test_good_settings_are_read(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()

    assert settings.secure
    assert settings.rq_redis_url == settings.redis_url
    assert settings.keyring.active == "k2"


def test_nothing_set_names_everything_that_is_missing_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    said = faults()

    for name in GOOD:
        assert f"FIRSTCOME_{name} is missing. Expected: " in said


def test_faults_of_every_kind_are_named_together_and_without_their_secrets(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("FIRSTCOME_PORT", "99999")
    environment.setenv("FIRSTCOME_BASE_URL", "http://sale.example.com")
    environment.setenv("FIRSTCOME_DATABASE_URL", "postgres://me:hush-database@host/db")
    environment.setenv("FIRSTCOME_SECRET_KEYS", "k1:hush-short")
    environment.setenv("FIRSTCOME_TRUSTED_PROXIES", "10.0.0.0/8,somewhere")
    environment.setenv("FIRSTCOME_REDIS_ULR", "redis://:hush-redis@redis")

    said = faults().splitlines()

    assert [line.split()[0] for line in said] == [
        "FIRSTCOME_PORT",
        "FIRSTCOME_BASE_URL",
        "FIRSTCOME_TRUSTED_PROXIES",
        "FIRSTCOME_DATABASE_URL",
        "FIRSTCOME_SECRET_KEYS",
        "FIRSTCOME_REDIS_ULR",
    ]
    assert "did you mean FIRSTCOME_REDIS_URL" in said[-1]
    assert "hush" not in "".join(said)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("BASE_URL", "http://sale.example.com", "plain http"),
        ("BASE_URL", "https://sale.example.com/shop", "origin"),
        ("SECRET_KEYS", "k1:" + base64.urlsafe_b64encode(b"change-me" * 4)[:43].decode(), "weak"),
        ("SECRET_KEYS", "k1:" + "A" * 43, "weak"),
        ("SECRET_KEYS", f"k1:{KEY},k1:{KEY}", "twice"),
        ("SMTP_URL", "", "missing"),
        ("MAIL_FROM", "tickets", "no mail address"),
        ("MAIL_SINK_DIR", "mails", "outside a demo"),
        ("SIMULATOR_URL", "http://127.0.0.1:8001", "outside a demo"),
        ("TURN_FLOOR_S", "60", "quarter"),
        ("REDIS_URL", "redis:///0", "names no host"),
        ("REDIS_URL", "redis+sentinel://one,two,three", "does not name the service"),
        ("REDIS_URL", "redis+sentinel://one:x,two/mymaster", "names no host, or a port that is none"),
        ("REDIS_URL", "redis+sentinel://one,two/mymaster/first", "number of a database"),
        ("REDIS_URL", "redis+cluster://one,two", "not supported yet"),
        ("REDIS_URL", "redis://host/first", "number of a database"),
        ("DATABASE_URL", "mysql://me:hush/hush@host/db", "names a port that is none"),
        ("DATABASE_URL", "sqlite:///:memory:", "names no database"),
        ("SMTP_URL", "smtp://mail.example.com:99999", "names a port that is none"),
        ("MAIL_FROM", "tickets@example.com\nBcc: me@example.com", "no mail address"),
        ("SWEEP_S", "inf", "is 'inf'"),
        ("PAYMENT_GUARANTEE_S", "nan", "is 'nan'"),
        ("REFRESH_S", "99999999999999", "is '99999999999999'"),
        ("SLICE_S", "60", "is '60'"),
    ],
)
def test_what_would_be_unsafe_in_production_stops_the_start(
    environment: pytest.MonkeyPatch, name: str, value: str, word: str
) -> None:
    environment.setenv(f"FIRSTCOME_{name}", value)

    said = faults()
    assert word in said
    assert "hush" not in said


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL", "SMTP_URL"])
@pytest.mark.parametrize("host", ["[host", "h\u2100st"])
def test_a_url_that_cannot_be_read_is_a_fault_without_its_password(
    environment: pytest.MonkeyPatch, name: str, host: str
) -> None:
    environment.setenv(f"FIRSTCOME_{name}", GOOD[name].partition("://")[0] + f"://me:hush@{host}/x")

    said = faults()

    assert said.startswith(f"FIRSTCOME_{name} ")
    assert "hush" not in said


def test_a_payment_stand_in_needs_secrets_of_its_own(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("FIRSTCOME_DEMO", "true")
    environment.setenv("FIRSTCOME_SIMULATOR_URL", "http://127.0.0.1:8001")
    environment.setenv("FIRSTCOME_SIMULATOR_API_KEY", "secret")
    environment.setenv("FIRSTCOME_SIMULATOR_WEBHOOK_SECRETS", "abcdefghijklmnopqrstuvwxyz-not-of-that-form")
    assert (
        "FIRSTCOME_SIMULATOR_WEBHOOK_SECRETS cannot be used: a webhook secret starts with whsec_" in faults()
    )
    environment.setenv("FIRSTCOME_SIMULATOR_WEBHOOK_SECRETS", "")

    said = faults()

    assert "FIRSTCOME_SIMULATOR_API_KEY is weak" in said
    assert "FIRSTCOME_SIMULATOR_WEBHOOK_SECRETS is missing" in said


def test_an_env_file_is_read_and_the_environment_wins(environment: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("FIRSTCOME_PORT=9000\nFIRSTCOME_MAIL_FROM=file@example.com\n")

    settings = load_settings()

    assert (settings.port, settings.mail_from) == (9000, GOOD["MAIL_FROM"])


def test_shown_settings_hold_no_secret(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    shown = "\n".join(f"{name}={value}" for name, value in settings.masked().items()) + repr(settings)

    assert "FIRSTCOME_SECRET_KEYS=set (active k2, 2 in all)" in shown
    assert "FIRSTCOME_DATABASE_URL=mysql://firstcome:***@mysql/firstcome" in shown
    assert "hush" not in shown
    assert KEY not in shown


def test_a_child_process_reads_what_its_parent_handed_over(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("FIRSTCOME_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    environment.setenv("FIRSTCOME_SLICE_S", "0.5")
    settings = load_settings()
    for name in GOOD:
        environment.delenv(f"FIRSTCOME_{name}")
    for name, value in settings.as_environment().items():
        environment.setenv(name, value)

    assert load_settings() == settings


def test_verbs_beside_a_demo_use_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTCOME_DATA_DIR", str(tmp_path))
    demo = Settings(demo=True, redis_url="unix:///r", database_url="sqlite:///d", secret_keys=f"d:{KEY}")
    (tmp_path / DEMO_FILE).write_text(
        "".join(f"{name}='{value}'\n" for name, value in demo.as_environment().items())
    )

    assert load_settings_or_demo().redis_url == "unix:///r"


def test_a_demo_may_choose_no_port_without_room_for_the_payment_stand_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIRSTCOME_PORT", "65535")

    with pytest.raises(SettingsFault, match="FIRSTCOME_PORT is '65535'"):
        load_demo_choices()


def test_a_key_of_one_purpose_tells_nothing_about_another() -> None:
    ring = parse_keyring(f"k1:{KEY}")

    tickets, passes = ring.derive("ticket"), ring.derive("pass")

    assert tickets.by_id["k1"] != passes.by_id["k1"]
    assert tickets.by_id["k1"] == parse_keyring(f"k1:{KEY}").derive("ticket").by_id["k1"]
    assert len(tickets.by_id["k1"]) == KEY_BYTES
    assert KEY not in repr(ring) + repr(tickets)


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES).filter(lambda key: len(set(key)) >= 20))
def test_every_random_key_is_accepted_with_and_without_padding(key: bytes) -> None:
    encoded = base64.urlsafe_b64encode(key).decode()

    for text in (encoded, encoded.rstrip("=")):
        assert parse_keyring(f"k1:{text}") == Keyring("k1", {"k1": key})


@given(st.text())
def test_a_text_that_is_no_key_ring_is_a_key_fault_and_nothing_else(text: str) -> None:
    with contextlib.suppress(KeyFault):
        parse_keyring(text)


def test_passwords_in_urls_are_masked() -> None:
    password = secrets.token_urlsafe(9)

    assert without_password(f"redis://:{password}@h:1/0") == "redis://:***@h:1/0"
    assert without_password("unix:///tmp/redis.sock?db=0") == "unix:///tmp/redis.sock?db=0"
    sentinels = f"redis+sentinel://:{password}@a,b:1/m/0?sentinel_password={password}"
    assert without_password(sentinels) == "redis+sentinel://:***@a,b:1/m/0?sentinel_password=***"


def test_a_url_of_sentinels_says_whom_to_ask_for_which_master() -> None:
    told = watched("rediss+sentinel://me:p%40ss@one,two:7000,[::1]:7001/my%20master/3?sentinel_password=hush")
    assert told == Watched(
        sentinels=(("one", 26379), ("two", 7000), ("::1", 7001)),
        service="my master",
        db=3,
        tls=True,
        username="me",
        password="p@ss",
        sentinel_password="hush",
    )
    assert "hush" not in repr(told)
    assert "p@ss" not in repr(told)
    assert watched("redis://one:6379/0") is None
