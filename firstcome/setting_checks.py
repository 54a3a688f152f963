"""What the values of settings have to be beside their types and bounds, and what they mean together. Pure.

Each check takes a setting's value, and with `info` the values of those that stand before it; it answers the value as it is kept.
A fault is a ValueError in plain words that follow the setting's name.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import ValidationInfo

from firstcome import urls
from firstcome.keyring import KeyFault, parse_keyring
from shop.payments.webhooks import read_secrets


def split_words(value: object) -> object:
    """Words that are separated by commas, as a tuple; what is no text stays as it is."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    """IPv4 or IPv6 networks such as 10.0.0.0/8."""
    for network in value:
        ipaddress.ip_network(network)
    return value


def public_origin(value: str, info: ValidationInfo) -> str:
    """Where buyers reach the site; a demo's own address where nothing is said."""
    if not value and info.data.get("demo"):
        return f"http://127.0.0.1:{info.data.get('port')}"
    return urls.origin(value, plain_http=bool(info.data.get("demo")))


def other_origins(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Origins of other hosts, by https outside a demo."""
    return urls.origins(value, plain_http=bool(info.data.get("demo")))


def redis_server(value: str, info: ValidationInfo) -> str:
    """Where Redis is; RQ shares the room's where nothing else is said."""
    if info.field_name == "rq_redis_url" and not value:
        return str(info.data.get("redis_url", ""))
    return urls.redis(value)


def strong_keys(value: str) -> str:
    """Keys of full strength, at least one."""
    if not value:
        raise ValueError("is missing")
    try:
        parse_keyring(value)
    except KeyFault as fault:
        raise ValueError(f"cannot be used: {fault}") from fault
    return value


def mail(value: str, info: ValidationInfo) -> str:
    """A mail server or a sender's address, which only a demo may lack."""
    if not value:
        if info.data.get("demo"):
            return value
        raise ValueError("is missing")
    if info.field_name == "smtp_url":
        return urls.mail_server(value)
    if "@" not in value.strip("@") or not value.isprintable():
        raise ValueError("is no mail address")
    return value


def sink_for_demos(value: Path | None, info: ValidationInfo) -> Path | None:
    """A folder for mail, in a demo only."""
    if value is not None and not info.data.get("demo"):
        raise ValueError("is set outside a demo, and would keep every mail from its reader")
    return value


def stand_in_for_demos(value: str, info: ValidationInfo) -> str:
    """The payment stand-in, in a demo only."""
    if value and not info.data.get("demo"):
        raise ValueError("is set outside a demo, and would let everybody pay without money")
    return urls.website(value) if value else value


def stand_in_secrets(value: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
    """Secrets that were made at random, where there is a payment stand-in."""
    if not info.data.get("simulator_url"):
        return value
    if not value:
        raise ValueError("is missing while FIRSTCOME_SIMULATOR_URL is set")
    for secret in [value] if isinstance(value, str) else value:
        if len(secret) < 24 or len(set(secret)) < 10:
            raise ValueError("is weak: it was not made at random")
    if isinstance(value, tuple):
        read_secrets(value)
    return value


def time_to_poll(value: int, info: ValidationInfo) -> int:
    """The longest time between polls: not below the shortest, and outside a demo four of them fit into the shortest turn."""
    if value < info.data.get("poll_floor_ms", 0):
        raise ValueError("is below FIRSTCOME_POLL_FLOOR_MS")
    if not info.data.get("demo") and info.data.get("turn_floor_s", float("inf")) * 1000 < 4 * value:
        raise ValueError(
            "is more than a quarter of FIRSTCOME_TURN_FLOOR_S, so that a called buyer could miss the turn"
        )
    return value
