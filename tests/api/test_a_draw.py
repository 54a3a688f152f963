"""A draw from the operator's first word to a stranger's proof, through the real gateway and the real books."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from firstcome.cli import cli
from shop.sales.draws import read_draw, seed_place
from tests.api.conftest import LEADER, House, Person, books_of, problem
from waiting_room.draw import score
from waiting_room.drawing import Drawing

README = Path(__file__).parents[2] / "README.md"


async def a_lobby(house: House, people: int) -> tuple[str, list[Person]]:
    """A draw with so many people in its lobby."""
    later = {"opens_at": (datetime.now(UTC) + timedelta(minutes=5)).isoformat()}
    slug = await house.sale(mode="draw", **later)
    crowd = [await house.buyer() for _ in range(people)]
    for person in crowd:
        assert (await person.ask("PUT", f"/sales/{slug}/ticket")).status_code == 201
    return slug, crowd


async def draw(house: House, slug: str) -> None:
    """The operator opens the sale, and the leader draws."""
    await press_open(house, slug)
    await make_list(house, slug)


async def press_open(house: House, slug: str) -> None:
    """The operator opens the sale."""
    operator = await house.operator()
    assert (await operator.ask("POST", f"/operator/sales/{slug}/actions/open")).status_code == 200
    await house.publish(slug)


async def make_list(house: House, slug: str) -> None:
    """The leader draws, until all have their numbers."""
    services, sale_id = house.services, house.sale_id(slug)
    with ThreadPoolExecutor(1) as threads:
        books = books_of(house, threads)
        drawing = Drawing(sale_id, services.room, books, token=LEADER)
        while await drawing.go_on(await house.tick(slug, calls=0)):
            pass
    await services.snapshot.renew()


async def test_a_lobby_knows_the_commitment_and_nobody_a_place(house: House) -> None:
    slug, crowd = await a_lobby(house, 3)
    seed = house.services.vault.open(
        read_draw(house.services.db, house.sale_id(slug)).seed_sealed,  # type: ignore[union-attr]
        seed_place(house.sale_id(slug)),
    )
    operator = await house.operator("viewer")
    answers = [await person.ask("GET", f"/sales/{slug}/ticket") for person in crowd]
    open_to_all = (f"/sales/{slug}", "/sales", f"/sales/{slug}/line", f"/sales/{slug}/draw")
    answers += [await house.client.get(f"/api/v1{path}") for path in open_to_all]
    for_operators = (f"/operator/sales/{slug}", f"/operator/sales/{slug}/figures", "/operator/audit")
    answers += [await operator.ask("GET", path) for path in for_operators]
    assert {answer.status_code for answer in answers} == {200}
    assert not any(seed in answer.text for answer in answers)
    tickets = [answer.json() for answer in answers[:3]]
    commitment = (await house.client.get(f"/api/v1/sales/{slug}")).json()["draw"]["commitment"]
    for ticket in tickets:
        assert ticket["state"] == "lobby"
        assert not {"number", "position", "ahead", "estimate", "be_back_by"} & ticket.keys()
        receipt = ticket["draw_receipt"]
        assert (receipt["commitment"], receipt["ticket_id"]) == (commitment, ticket["ticket_id"])
        assert not {"seed", "number", "list_hash", "size"} & receipt.keys()
    alike = [
        {name: value for name, value in ticket.items() if name not in _OWN} | {"keys": sorted(ticket)}
        for ticket in tickets
    ]
    assert alike[0] == alike[1] == alike[2]
    problem(await house.client.get(f"/api/v1/sales/{slug}/draw/list"), 409, "not_drawn_yet")
    problem(await house.client.get(f"/api/v1/sales/{slug}/draw/list.txt"), 409, "not_drawn_yet")
    fifo = await house.sale()
    problem(await house.client.get(f"/api/v1/sales/{fifo}/draw"), 404, "no_draw")


_OWN = {"ticket_id", "ticket", "draw_receipt", "poll_after_ms", "as_of"}


async def test_after_the_draw_everybody_can_recompute_every_place(house: House, tmp_path: Path) -> None:
    slug, crowd = await a_lobby(house, 6)
    await draw(house, slug)
    late = await house.buyer()
    assert (await late.ask("PUT", f"/sales/{slug}/ticket")).json()["number"] == 7
    public = (await house.client.get(f"/api/v1/sales/{slug}/draw")).json()
    text = await house.client.get(f"/api/v1/sales/{slug}/draw/list.txt")
    tickets = [(await person.ask("GET", f"/sales/{slug}/ticket")).json() for person in crowd]
    seed = bytes.fromhex(public["seed"])
    by_number = sorted(tickets, key=lambda ticket: ticket["number"])
    assert [ticket["number"] for ticket in by_number] == [1, 2, 3, 4, 5, 6]
    assert text.text.splitlines() == [ticket["ticket_id"] for ticket in by_number]
    assert by_number == sorted(tickets, key=lambda ticket: score(seed, ticket["ticket_id"]))
    receipt = by_number[0]["draw_receipt"]
    assert (receipt["number"], receipt["seed"], receipt["list_hash"]) == (
        1,
        public["seed"],
        public["list_hash"],
    )
    page = (await house.client.get(f"/api/v1/sales/{slug}/draw/list?limit=4")).json()
    rest = (await house.client.get(f"/api/v1/sales/{slug}/draw/list?cursor={page['next_cursor']}")).json()
    assert [(item["number"], item["ticket_id"]) for item in page["items"] + rest["items"]] == [
        (number, ticket["ticket_id"]) for number, ticket in enumerate(by_number, 1)
    ]
    assert text.headers["cache-control"].startswith("public")
    again = {"If-None-Match": text.headers["etag"]}
    assert (await house.client.get(f"/api/v1/sales/{slug}/draw/list.txt", headers=again)).status_code == 304
    problem(await house.client.get(f"/api/v1/sales/{slug}/draw/list?cursor=x"), 422, "bad_fields")

    answers = {f"/api/v1/sales/{slug}/draw": json.dumps(public).encode(), public["list_url"]: text.content}
    with shop_of(answers) as site:
        ran = await asyncio.to_thread(_stranger, site + f"/api/v1/sales/{slug}/draw", receipt["ticket_id"])
        assert ran.stdout.split() == ["1", "of", "6"], ran.stderr
        said = await asyncio.to_thread(
            CliRunner().invoke, cli, ["verify-draw", f"{site}/sales/{slug}", "--ticket", receipt["ticket_id"]]
        )
        assert said.exit_code == 0, said.output
        assert "stands at 1." in said.output


def test_whoever_changes_a_draw_is_found_out(tmp_path: Path) -> None:
    """Each lie about a draw by its name; the truth passes, and a draw that is still to come says so."""
    from waiting_room.draw import commitment, hash_of_list

    seed, ids = bytes(32), [f"ticket-{n:07}" for n in range(30)]
    ids.sort(key=lambda one: (score(seed, one), one))
    text = "".join(f"{one}\n" for one in ids)
    true = {
        "sale": "x", "sale_id": "s1", "commitment": commitment("s1", seed), "seed": seed.hex(), "size": 30,
        "list_hash": hash_of_list(text.encode()), "addendum": [],
    }  # fmt: skip

    def verdict(document: dict[str, Any], text: str) -> tuple[int, str]:
        (tmp_path / "draw.json").write_text(json.dumps(document))
        (tmp_path / "list.txt").write_text(text)
        words = ["verify-draw", str(tmp_path / "draw.json"), "--list", str(tmp_path / "list.txt")]
        said = CliRunner().invoke(cli, words)
        return said.exit_code, said.output

    def hashed(text: str, **changes: Any) -> tuple[dict[str, Any], str]:
        return true | {"list_hash": hash_of_list(text.encode())} | changes, text

    assert verdict(true, text)[0] == 0
    assert verdict(true | {"seed": None}, text)[0] == 3
    swapped = text.replace(ids[3], "~").replace(ids[9], ids[3]).replace("~", ids[9])
    twice = text + f"{ids[-1]}\n"
    for lie, sentence in [
        ((true | {"seed": "01" * 32}, text), "The seed is not the one that was committed to"),
        ((true | {"sale_id": "s2"}, text), "The seed is not the one that was committed to"),
        ((true, swapped), "The list is not the one whose hash was published"),
        (hashed(swapped), "has a lower score"),
        (hashed(twice, size=31), "stands on the list twice"),
        (hashed(text[15:]), "has 29 tickets, not 30"),
        (hashed(text[:-3]), "is no ticket"),
        ((true | {"addendum": [{"ticket_id": ids[4], "place": "4.5"}]}, text), "is number 5 of the list"),
        ((true | {"addendum": [{"ticket_id": "somebody-else1", "place": "40.5"}]}, text), "belongs at"),
        ((true | {"size": "many"}, text), "does not describe a draw"),
        (({"hello": 1}, text), "does not describe a draw"),
    ]:
        code, output = verdict(*lie)
        assert (code, sentence in output) == (1, True), (sentence, output)


def _stranger(address: str, ticket: str) -> subprocess.CompletedProcess[str]:
    """Run the lines of the README as they stand there."""
    lines = re.search(r"```python\n(import hashlib.*?)```", README.read_text(), re.DOTALL)
    assert lines is not None
    assert lines.group(1).count("\n") <= 25
    words = [sys.executable, "-c", lines.group(1), address, ticket]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def shop_of(answers: dict[str, bytes]) -> Iterator[str]:
    """A web server on the loopback that gives these answers; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = answers.get(self.path)
            self.send_response(404 if known is None else 200)
            self.end_headers()
            self.wfile.write(known or b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
