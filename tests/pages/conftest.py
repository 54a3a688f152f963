"""A real browser for the pages of a running product. Every visit ends with the proof that nothing went wrong unseen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.running import Buyer, RunningDemo, eventually

Visit = Callable[..., Page]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


CHROMIUMS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]  # the lightest first


def chromium() -> str:
    """The path of this machine's Chromium."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        pytest.fail("These tests need a Chromium: apt install chromium-headless-shell", pytrace=False)
    return found


@pytest.fixture(scope="package")  # not longer: while Playwright lives, its event loop runs and no other can
def browser() -> Iterator[Browser]:
    """A headless Chromium of this machine."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield opened
        opened.close()


class Witness:
    """Notes what a page should never do: errors in the console, faults in scripts, requests to anybody else."""

    def __init__(self, demo: RunningDemo) -> None:
        self._own = demo.url
        self._pay = f"http://127.0.0.1:{demo.port + 1}"
        self.seen: list[str] = []
        self.foreseen: tuple[str, ...] = ()

    def watch(self, context: BrowserContext) -> None:
        """Watch every page of the context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.seen.append(f"script fault: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.seen.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._own, self._pay, "data:", "about:")):
            self.seen.append(f"request to a third party: {request.url}")

    def unexpected(self) -> list[str]:
        """What was seen and not foreseen by the test."""
        return [line for line in self.seen if not any(part in line for part in self.foreseen)]


@pytest.fixture
def witness(demo: RunningDemo) -> Witness:
    """The witness of this test; a test that causes an error on purpose puts a part of it into `foreseen`."""
    return Witness(demo)


@pytest.fixture
def visit(browser: Browser, demo: RunningDemo, witness: Witness) -> Iterator[Visit]:
    """`visit(path, script=True, width=1280, …)`: a page of the demo in a fresh browser profile."""
    contexts: list[BrowserContext] = []

    def go(
        path: str = "/", *, script: bool = True, width: int = 1280, locale: str = "en", **more: Any
    ) -> Page:
        context = browser.new_context(
            base_url=demo.url,
            java_script_enabled=script,
            viewport={"width": width, "height": 900},
            locale=locale,
            **more,
        )
        context.set_default_timeout(12_000)
        witness.watch(context)
        contexts.append(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert witness.unexpected() == []


def log_in(page: Page, number: int, onward: str = "/") -> None:
    """Log in as a buyer of the demo, by the form."""
    page.goto(f"/login?next={onward}")
    page.fill("#email", f"buyer{number}@example.test")
    page.fill("#password", "demo-buyer-pass")
    page.click("main button[type=submit]")


def log_in_operator(page: Page, onward: str = "/operator", email: str = "operator@example.test") -> None:
    """Log in as an operator of the demo, by the form."""
    page.goto(f"/operator/login?next={onward}")
    page.fill("#email", email)
    page.fill("#password", "demo-operator-pass")
    page.click("main button[type=submit]")


def open_sale(demo: RunningDemo, units: int, **more: Any) -> tuple[str, str]:
    """A fresh open sale that every process of the gateway knows and that calls: its slug and its product's id."""
    slug, product = demo.open_sale(units, **more)

    def known_everywhere() -> bool | None:
        answers = [httpx.get(f"{demo.url}/api/v1/sales/{slug}/line", timeout=10) for _ in range(6)]
        return all(answer.status_code == 200 and "hold" not in answer.json() for answer in answers) or None

    eventually(known_everywhere, f"{slug} is open in every process", 15)
    return slug, product


def waiting_buyer(demo: RunningDemo, number: int, slug: str) -> Buyer:
    """A buyer who has joined by JSON."""
    buyer = demo.buyer(number)
    buyer.join(slug)
    return buyer


def called_buyer(demo: RunningDemo, number: int, slug: str) -> Buyer:
    """A buyer who has joined by JSON and been called."""
    buyer = waiting_buyer(demo, number, slug)
    buyer.await_call(slug)
    return buyer
