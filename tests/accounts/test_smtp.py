"""Mail by a mail server that speaks just enough SMTP to be refused by."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string
from email.header import decode_header, make_header

import pytest

from shop.mail.effects import EffectFailed
from shop.mail.letters import Mail
from shop.mail.smtp import SmtpMailer

MAIL = Mail(
    to="minji.kim@mail.example.com",
    subject="결제가 완료되었습니다",
    text="감사합니다\n",
    locale="ko",
    key="abc",
)


class Server(socketserver.ThreadingTCPServer):
    """Takes mail for everybody but those whose address begins with `nobody` (never) or `later` (not now)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.taken: list[str] = []

    @property
    def url(self) -> str:
        """For the mailer."""
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class Conversation(socketserver.StreamRequestHandler):
    """One connection."""

    server: Server

    def handle(self) -> None:
        """Say hello, then answer line by line."""
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            match line.upper().split(":")[0].split()[0]:
                case "DATA":
                    self.say("354 go on")
                    self.server.taken.append(self.read_message())
                    self.say("250 taken")
                case "RCPT" if "<nobody" in line:
                    self.say("550 no such user " + line)
                case "RCPT" if "<later" in line:
                    self.say("451 try later " + line)
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 fine")

    def say(self, text: str) -> None:
        """One reply."""
        self.wfile.write(f"{text}\r\n".encode())

    def read_message(self) -> str:
        """Up to the lonely full stop."""
        lines: list[str] = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line)
        return "".join(lines)


@pytest.fixture
def server() -> Iterator[Server]:
    """A mail server on a free port."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_mail_arrives_whole_and_is_recognised_when_it_comes_twice(server: Server) -> None:
    mailer = SmtpMailer(server.url, "Tickets <tickets@example.com>")
    mailer.send(MAIL)
    mailer.send(MAIL)
    one, two = (message_from_string(text) for text in server.taken)
    assert one["Message-ID"] == two["Message-ID"] == "<abc@example.com>"
    assert one["To"] == MAIL.to
    assert str(make_header(decode_header(one["Subject"]))) == MAIL.subject
    payload = one.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n") == MAIL.text


@pytest.mark.parametrize(("name", "permanent"), [("nobody", True), ("later", False)])
def test_a_refused_recipient_is_told_apart_from_a_delay_without_naming_the_address(
    server: Server, name: str, permanent: bool
) -> None:
    mail = Mail(to=f"{name}@mail.example.com", subject="s", text="t", locale="en", key="k")
    with pytest.raises(EffectFailed) as failed:
        SmtpMailer(server.url, "tickets@example.com").send(mail)
    assert failed.value.permanent is permanent
    assert "example.com" not in failed.value.what


def test_a_mail_server_that_is_away_is_tried_again(server: Server) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as closed:
        port = closed.server_address[1]
    with pytest.raises(EffectFailed) as failed:
        SmtpMailer(f"smtp://127.0.0.1:{port}", "tickets@example.com").send(MAIL)
    assert not failed.value.permanent


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "mail.example.com"])
def test_a_url_that_names_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="starts with smtp"):
        SmtpMailer(url, "tickets@example.com")
