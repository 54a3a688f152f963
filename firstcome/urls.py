"""What the URLs among the settings have to look like, and how they may be shown. Pure; a fault is a ValueError in plain words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit

SENTINEL = "+sentinel"
SENTINEL_PORT = 26379


def origin(value: str, *, plain_http: bool) -> str:
    """A public origin without a slash at its end; http only if `plain_http`."""
    parts = _parts(value, "http", "https")
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise ValueError("is not an origin: scheme and host only")
    if parts.scheme == "http" and not plain_http:
        raise ValueError("is a plain http origin, on which passwords and passes could be read on the way")
    return value.rstrip("/")


@dataclass(frozen=True, slots=True)
class Watched:
    """A Redis master that Sentinels watch under the name `service`, and where to ask them."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    db: int
    tls: bool
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)


def origins(values: tuple[str, ...], *, plain_http: bool) -> tuple[str, ...]:
    """Several origins, in lower case as browsers spell them; every fault is named together with what has it."""
    faults, found = [], []
    for value in values:
        try:
            found.append(origin(value, plain_http=plain_http).lower())
        except ValueError as fault:
            faults.append(f"{value!r} {fault}")
    if faults:
        raise ValueError("cannot be used: " + "; ".join(faults))
    return tuple(found)


def redis(value: str) -> str:
    """A Redis server, by host or by socket, or the Sentinels that watch one."""
    if value.startswith(("redis-cluster:", "rediss-cluster:", "redis+cluster:", "rediss+cluster:")):
        raise ValueError(
            "names a Redis Cluster, which is not supported yet: name one server, or its Sentinels"
        )
    parts = _parts(value, "redis", "rediss", "unix", f"redis{SENTINEL}", f"rediss{SENTINEL}")
    if watched(value) is not None:
        return value
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("names no socket")
    elif not parts.hostname:
        raise ValueError("names no host")
    elif not (parts.path.strip("/") or "0").isdecimal():
        raise ValueError("does not end with the number of a database")
    return value


def watched(value: str) -> Watched | None:
    """What `redis+sentinel://user:password@host:26379,host,host/service/0?sentinel_password=…` says; None for any other URL.

    Raises ValueError for one that is not complete.
    """
    parts = urlsplit(value)
    if not parts.scheme.endswith(SENTINEL):
        return None
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("does not name the service that the Sentinels watch: …/mymaster/0")
    if not (db or "0").isdecimal():
        raise ValueError("does not end with the number of a database")
    given = parse_qs(parts.query).get("sentinel_password")
    return Watched(
        sentinels=tuple(_host_and_port(host) for host in hosts.split(",")),
        service=unquote(service),
        db=int(db or 0),
        tls=parts.scheme.startswith("rediss"),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_password=given[0] if given else None,
    )


def _host_and_port(text: str) -> tuple[str, int]:
    """Of `host`, `host:port` or `[::1]:port`."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(?::(\d{1,5}))?", text)
    if found is None:
        raise ValueError("names no host, or a port that is none")
    return found[1].strip("[]"), int(found[2] or SENTINEL_PORT)


def database(value: str) -> str:
    """A database of a kind that the shop supports."""
    parts = _parts(value, "mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql", "sqlite")
    if parts.path.strip("/") in ("", ":memory:"):
        raise ValueError("names no database")
    return value


def mail_server(value: str) -> str:
    """A server that takes mail."""
    if not _parts(value, "smtp", "smtps").hostname:
        raise ValueError("names no host")
    return value


def website(value: str) -> str:
    """A site, without a slash at its end."""
    if not _parts(value, "http", "https").hostname:
        raise ValueError("names no host")
    return value.rstrip("/")


def without_password(url: str) -> str:
    """The URL with its passwords replaced by `***`."""
    url = re.sub(r"([?&]\w*password=)[^&#]*", r"\1***", url)
    parts = urlsplit(url)
    if parts.password is None:
        return url
    name, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{name.partition(':')[0]}:***@{host}"))


def _parts(value: str, *schemes: str) -> SplitResult:
    if not value:
        raise ValueError("is missing")
    try:
        parts = urlsplit(value)
    except ValueError:  # its words repeat what was given, and with it a password
        raise ValueError("cannot be used: it is not a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"does not begin with {' or '.join(scheme + '://' for scheme in schemes)}")
    if not parts.scheme.endswith(SENTINEL):  # which names several hosts
        try:
            _ = parts.port
        except ValueError:  # a password with a slash of its own would be read as one
            raise ValueError("names a port that is none") from None
    return parts
