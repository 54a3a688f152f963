"""What an answer must look like while something is away: in time, with a word on when to come back, and with nothing of the inside."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from tests.running import Buyer, RunningDemo

WITHIN_S = 3.5


@dataclass(frozen=True)
class Answer:
    """An answer and the seconds that it took."""

    seconds: float
    response: httpx.Response


def ask_all(*asks: tuple[httpx.Client, str, str, dict[str, Any]]) -> list[Answer]:
    """Ask all of this at once: client, method, path and what goes along."""

    def ask(client: httpx.Client, method: str, path: str, more: dict[str, Any]) -> Answer:
        began = time.monotonic()
        response = client.request(method, path, **more)
        return Answer(time.monotonic() - began, response)

    with ThreadPoolExecutor(len(asks)) as threads:
        return list(threads.map(lambda one: ask(*one), asks))


def browser(demo: RunningDemo, number: int, sale: str) -> httpx.Client:
    """The demo's buyer of that number in a browser, signed in and in the line."""
    client = httpx.Client(base_url=demo.url, headers={"Origin": demo.url, "Accept-Language": "en"})
    form = {"email": f"buyer{number}@example.test", "password": "demo-buyer-pass"}
    submit(client, "/login", "/login", form)
    assert submit(client, f"/sales/{sale}", f"/sales/{sale}/join", {}).headers["location"].endswith("/line")
    return client


def submit(client: httpx.Client, page: str, action: str, form: dict[str, str]) -> httpx.Response:
    """Fill in a form of a page and send it; the answer is a redirection."""
    text = client.get(page).text
    marked = text.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = client.post(action, data={**form, "csrf_token": marked})
    assert answer.status_code == 303, answer.text
    return answer


def assert_comes_back(answer: Answer, *codes: str, within_s: float = WITHIN_S) -> None:
    """A 503 in time that names the problem and says when to ask again."""
    response = answer.response
    assert answer.seconds < within_s, response.url
    assert response.status_code == 503, f"{response.url}: {response.text}"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] in codes
    assert 1 <= int(response.headers["Retry-After"]) <= 10


def assert_page_waits(answer: Answer, *, within_s: float = WITHIN_S) -> None:
    """A page in time that says what is kept, loads itself anew, and shows nothing of the inside."""
    response = answer.response
    assert answer.seconds < within_s, response.url
    assert (response.status_code, "Retry-After" in response.headers) == (503, True), response.url
    assert response.headers["content-type"].startswith("text/html")
    assert 'http-equiv="refresh"' in response.text
    assert "data-repeat" in response.text
    assert "kept" in response.text
    assert_tells_nothing(response)


def assert_shown(answer: Answer) -> None:
    """A page or document that is there at once, from what this process remembers."""
    assert (answer.response.status_code, answer.seconds < 1) == (200, True), answer.response.url
    assert_tells_nothing(answer.response)


def assert_tells_nothing(response: httpx.Response) -> None:
    """Neither a trace nor the name of anything inside."""
    for inside in ("Traceback", "redis", "Redis", "mysql", "MariaDB", "Error", ".py", ".sock"):
        assert inside not in response.text, f"{response.url} tells of {inside}"


def buy(buyer: Buyer, sale: str, product: str) -> None:
    """From the call to the paid order."""
    order_id = buyer.order(sale, buyer.claim(sale), {product: 1})["order_id"]
    buyer.await_order(order_id, "reserved")
    buyer.pay(order_id)
    buyer.await_order(order_id, "paid")


def assert_books(demo: RunningDemo, sale: str, *, sold: int) -> None:
    """So many units are sold, none is held, and every book agrees."""
    checked = demo.verb("reconcile")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    books = demo.books(sale)
    assert books.faults == []
    assert (books.sold, books.held) == (sold, 0)
