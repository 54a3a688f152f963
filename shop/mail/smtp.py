"""Hands mail to a mail server. Knows SMTP; nothing of the shop."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

from shop.mail.effects import EffectFailed
from shop.mail.letters import Mail

TIMEOUT_S = 10
# Not every mail server on the way takes bytes above 127.
_POLICY = SMTP.clone(cte_type="7bit")


class SmtpMailer:
    """A mailer for `smtp://[user:password@]host[:port][?starttls]` or `smtps://…` (TLS from the start).

    `sender` is the From address. Each mail has a connection of its own; every reply may take 10 s.
    """

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("a mail server URL starts with smtp:// or smtps:// and names a host")
        self._tls = parts.scheme == "smtps"
        self._starttls = "starttls" in parse_qs(parts.query, keep_blank_values=True)
        self._host = parts.hostname
        self._port = parts.port or (465 if self._tls else 587 if self._starttls else 25)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._sender = sender

    def send(self, mail: Mail) -> None:
        """Deliver to the server. Raises EffectFailed with the kind of the error only: a server's words quote addresses."""
        self._with_server(lambda server: server.send_message(message_of(mail, self._sender)))

    def check(self) -> None:
        """Go as far as the first mail would: reach the server and log in. Raises EffectFailed."""
        self._with_server(lambda server: server.noop())

    def _with_server(self, do: Callable[[smtplib.SMTP], object]) -> None:
        try:
            with self._connect() as server:
                if self._starttls:
                    server.starttls(context=ssl.create_default_context())
                if self._user:
                    server.login(self._user, self._password)
                do(server)
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            permanent = all(code >= 500 for code in codes)
            raise EffectFailed(f"recipient refused {codes}", permanent=permanent) from None
        except smtplib.SMTPResponseException as error:
            raise EffectFailed(f"{type(error).__name__} {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise EffectFailed(f"mail server: {type(error).__name__}") from None

    def _connect(self) -> smtplib.SMTP:
        if self._tls:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_S, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S)


def message_of(mail: Mail, sender: str) -> EmailMessage:
    """The mail as a message, ready to send. Its Message-ID is the same each time the same letter is sent."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Content-Language"] = mail.locale
    # Keeps holiday replies and mailing-list robots from answering.
    message["Auto-Submitted"] = "auto-generated"
    if mail.key:
        message["Message-ID"] = f"<{mail.key}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"
    message.set_content(mail.text)
    return message
