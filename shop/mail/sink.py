"""A mailer that delivers nothing: it keeps every mail in a Maildir, for demo and tests, and reads them again."""

from __future__ import annotations

import heapq
import mailbox
import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import TypedDict

from shop.mail.letters import Mail
from shop.mail.smtp import message_of

SENDER = "shop@example.test"
_LINK = re.compile(r"https?://[^\s<>\"]+")


class SunkMail(TypedDict):
    """One kept mail; `links` in the order in which they occur in the text."""

    to: str
    subject: str
    text: str
    links: list[str]


class MailSink:
    """A mailer that writes into the Maildir `folder`, which is made if it is missing."""

    def __init__(self, folder: Path, sender: str = SENDER) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._sender = sender

    def send(self, mail: Mail) -> None:
        """Keep the mail. Another process sees it whole or not at all (that is what a Maildir is for)."""
        mailbox.Maildir(self._folder, create=True).add(message_of(mail, self._sender))


def read_sink(folder: Path, limit: int = 200) -> list[SunkMail]:
    """The kept mails, newest first, at most `limit`; none if there is no such folder."""
    files = [path for part in ("new", "cur") for path in (folder / part).glob("*")]
    newest = heapq.nlargest(limit, files, key=lambda path: path.stat().st_mtime_ns)
    return [_read(path) for path in newest]


def _read(path: Path) -> SunkMail:
    message = message_from_bytes(path.read_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    text = body.get_content().replace("\r\n", "\n") if body is not None else ""
    return {
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "text": text,
        "links": _LINK.findall(text),
    }
