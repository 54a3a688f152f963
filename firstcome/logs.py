"""What the processes write down: one JSON line an event (or a readable one), to stderr. Personal data and secrets stay out.

Knows the names under which secrets would arrive, and replaces their values; messages of other libraries pass through the same
lines.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

MASK = "***"
# A field whose name contains one of these never shows its value.
_CLOSED = (
    *("password", "secret", "token", "cookie", "authorization", "email", "phone", "address", "receipt"),
    *("pass_jwt", "ticket_jwt", "session", "code_plain", "api_key"),
)
_OTHER_LEVELS = {
    "_granian": logging.WARNING,
    "rq.worker": logging.WARNING,
    "httpx": logging.WARNING,
    "alembic": logging.WARNING,
}


def configure(process: str, level: str, form: Literal["json", "console"]) -> None:
    """Set up structlog and the standard library's logging for this process; `process` stands in every line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _named(process),
        close_personal_fields,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _OTHER_LEVELS.items():
        logging.getLogger(name).setLevel(max(least, root.level))


class _Announcer(logging.Handler):
    """Tells the person at the terminal about a worker that died; stdout is kept for them, see `supervisor`."""

    def emit(self, record: logging.LogRecord) -> None:
        event = record.msg.get("event", "") if isinstance(record.msg, dict) else record.getMessage()
        if event == "worker_restarted" or str(event).startswith("Unexpected exit"):
            print(f"{self.name}: a worker ended; it is started again.", flush=True)


def announce_restarts(process: str) -> None:
    """Say in one line on stdout whenever a pool of this process starts a dead worker again."""
    announcer = _Announcer()
    announcer.name = process
    logging.getLogger().addHandler(announcer)


def close_personal_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor that masks every field which by its name holds something secret or personal."""
    for name in event:
        if not name.endswith("_id") and any(word in name.lower() for word in _CLOSED):
            event[name] = MASK
    return event


def _named(process: str) -> Any:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event["process"] = process
        return event

    return add


def _rendering(form: Literal["json", "console"]) -> list[Any]:
    if form == "console":
        # The usual traces show the values of all variables wherever `rich` is installed: passwords and addresses among them.
        return [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
