"""What the URLs among the settings have to look like, and how they may be shown. Pure; a fault is a ValueError in plain words."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit


def origin(value: str, *, plain_http: bool) -> str:
    """A public origin without a slash at its end; http only if `plain_http`."""
    parts = _parts(value, "http", "https")
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise ValueError("is not an origin: scheme and host only")
    if parts.scheme == "http" and not plain_http:
        raise ValueError("is a plain http origin, on which passwords and passes could be read on the way")
    return value.rstrip("/")


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
    """A Redis server, by host or by socket."""
    parts = _parts(value, "redis", "rediss", "unix")
    if not parts.hostname and not (parts.scheme == "unix" and parts.path):
        raise ValueError("names no host")
    return value


def database(value: str) -> str:
    """A database of a kind that the shop supports."""
    parts = _parts(value, "mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql", "sqlite")
    if not parts.path.strip("/"):
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
    """The URL with its password replaced by `***`."""
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
    return parts
