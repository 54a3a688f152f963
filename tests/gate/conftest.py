"""A room that is served by its own process, sites behind it that tell what reached them, and the real proxies between."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstcome.private_server import dying_with_parent, find_program
from firstcome.settings import Settings, inherited_environment
from tests.api.conftest import House, database_url, house, open_house
from tests.running import eventually
from waiting_room.passes import Pass, PassSigner

__all__ = ["database_url", "house"]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ROOM, TICKETS = "http://sale.example.com", "http://tickets.example.org"


@dataclass(frozen=True)
class Seen:
    """A request that reached a site."""

    method: str
    target: str
    headers: dict[str, list[str]]

    def one(self, name: str) -> str | None:
        """The value of a header that may come once at most."""
        values = self.headers.get(name, [])
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


@dataclass
class Site:
    """A site behind the gate: notes what reaches it, and says so."""

    seen: list[Seen] = field(default_factory=list)
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):  # any method whatever
                    return self.answer
                raise AttributeError(name)

            def answer(self) -> None:
                self.rfile.read(int(self.headers["content-length"] or 0))
                headers: dict[str, list[str]] = {}
                for key, value in self.headers.items():
                    headers.setdefault(key.lower(), []).append(value)
                site.seen.append(Seen(self.command, self.path, headers))
                body = b"" if self.command == "HEAD" else b"the site"
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def taken(self) -> list[Seen]:
        """What has reached the site since it was asked last."""
        seen, self.seen = self.seen, []
        return seen


@dataclass
class Street:
    """The room, its sites and the proxy before them all."""

    house: House
    sale: str
    proxy: str
    port: int
    shop: Site
    tickets: Site

    @property
    def sale_id(self) -> str:
        return self.house.sale_id(self.sale)

    def ask(self, method: str, target: str, headers: dict[str, str], *, host: str = ROOM) -> HTTPResponse:
        """A request as it is, however odd its target; the body has been read."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host.partition("://")[2], **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def browser(self) -> httpx.Client:
        """A browser: cookies by host, no redirect followed unasked. Absolute-form requests carry it to the proxy."""
        return httpx.Client(
            proxy=f"http://127.0.0.1:{self.port}", headers={"Accept": "text/html"}, timeout=10
        )

    def passes(self, admission: str) -> dict[str, str | None]:
        """A good pass, and everything that is none."""
        services = self.house.services
        good = services.pass_reader.read(admission, round(time.time() * 1000))
        stranger = PassSigner(good.kid, {good.kid: bytes(32)})
        other = replace(good, sale_id="0123456789abcdef")
        over = replace(good, iat=good.iat - 9000, exp=int(time.time()) - 1)
        return {
            "good": admission,
            "changed": admission[:-3] + ("AAA" if admission[-3:] != "AAA" else "BBB"),
            "over": services.pass_signer.sign(over),
            "of another sale": services.pass_signer.sign(other),
            "of a stranger": stranger.sign(good),
            "none": None,
        }


def good_pass(street: Street, admission: str) -> Pass:
    return street.house.services.pass_reader.read(admission, round(time.time() * 1000))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(words: list[str], folder: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    """A program that listens on the port, until the end of the block; its output stands in the folder."""
    log = folder / f"{Path(words[0]).name}-{port}.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            words, stdout=out, stderr=out, cwd=folder, env=environment, preexec_fn=dying_with_parent()
        )

    def listens() -> bool | None:
        assert child.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0 or None

    try:
        eventually(listens, f"{words[0]} listens", 30)
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(20)


@contextmanager
def serving(settings: Settings, folder: Path) -> Iterator[None]:
    """`firstcome serve` with these settings."""
    environment = inherited_environment() | settings.as_environment()
    words = [sys.executable, "-m", "firstcome", "serve"]
    with process(words, folder, settings.port, environment):
        yield


def nginx(folder: Path, street: Street, room_port: int) -> list[str]:
    """The documented nginx, with this street's ports and sale in it."""
    for path in (EXAMPLES / "nginx").iterdir():
        text = filled_in(path.read_text(), street, room_port)
        (folder / path.name).write_text(re.sub(r"listen 80;", f"listen 127.0.0.1:{street.port};", text))
    temp = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "main.conf"
    main.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;"
        f"events {{}} http {{ access_log off; {temp} include {folder}/firstcome.conf; }}"
    )
    program = find_program("nginx")
    assert program, "these tests need nginx: .ci/system-packages installs it"
    return [program, "-c", str(main), "-p", str(folder), "-e", str(folder / "start.log")]


def caddy(folder: Path, street: Street, room_port: int) -> list[str]:
    """The documented Caddy, with this street's ports and sale in it, and without TLS."""
    text = filled_in((EXAMPLES / "Caddyfile").read_text(), street, room_port)
    text = re.sub(r"^((?:sale|tickets)\S+) \{", rf"http://\1:{street.port} {{", text, flags=re.MULTILINE)
    options = "{\n\tadmin off\n\tauto_https off\n}\n"
    (folder / "Caddyfile").write_text(options + text)
    program = find_program("caddy")
    assert program, "these tests need caddy: .ci/system-packages installs it"
    return [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def filled_in(text: str, street: Street, room_port: int) -> str:
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{room_port}",
        "127.0.0.1:9001": f"127.0.0.1:{street.shop.port}",
        "127.0.0.1:9002": f"127.0.0.1:{street.tickets.port}",
        "sale=demo": f"sale={street.sale}",
        "https://tickets.example.org": TICKETS,
        "__Host-": "",  # which cookies have on https alone
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


@pytest.fixture
async def streets(settings: Settings, tmp_path: Path) -> AsyncIterator[list[Street]]:
    """The room in its own process, and before it each of the real proxies with the configuration that we document."""
    room_port = free_port()
    changed = settings.model_copy(
        update={"base_url": ROOM, "gate_sites": (TICKETS,), "port": room_port, "serve_workers": 1}
    )
    environment = inherited_environment() | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    async with open_house(changed) as here:
        sale, shop, tickets = await here.sale(), Site(), Site()
        with ExitStack() as stack:
            stack.enter_context(serving(changed, tmp_path))
            stack.callback(shop.close)
            stack.callback(tickets.close)
            made = []
            for make in (nginx, caddy):
                street = Street(here, sale, make.__name__, free_port(), shop, tickets)
                folder = tmp_path / make.__name__
                folder.mkdir()
                words = make(folder, street, room_port)
                stack.enter_context(process(words, folder, street.port, environment))
                made.append(street)
            yield made
