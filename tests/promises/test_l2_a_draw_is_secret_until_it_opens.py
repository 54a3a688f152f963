"""L2 in a draw, over HTTP: before the opening, and until the list is public, nothing anywhere tells one place from another."""

from __future__ import annotations

import base64
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from gateway.bounded import PollLimiter
from tests.api.conftest import House, Person, database_url, house
from tests.api.test_a_draw import a_lobby, make_list, press_open
from tests.running import OPERATOR, RunningDemo, eventually
from waiting_room.draw import lot, score

__all__ = ["database_url", "house"]

CROWD = 8
Told = tuple[int, list[tuple[str, str]], str]
# What differs because it names its holder, or the moment.
_OWN_WORDS = ("ticket_id", "ticket", "account_id", "as_of")
_OWN_LINES = ("date", "x-request-id")


def with_chance(house: House, chance: float) -> None:
    """The dice that spread the polls always fall alike: what then still differs between two buyers is not chance."""
    house.services.room._chance = house.services.digests._chance = lambda: chance


def masked(answer: httpx.Response) -> Told:
    """An answer as everybody else should get it as well: names of people and moments left out, lengths left in."""
    text = re.sub(rf'"({"|".join(_OWN_WORDS)})":"[^"]*"', r'"\1":"…"', answer.text)
    lines = [(name, value) for name, value in answer.headers.multi_items() if name not in _OWN_LINES]
    return (
        answer.status_code,
        [(name, re.sub(r"(ticket_\w+)=[^;]*", r"\1=…", value)) for name, value in lines],
        text,
    )


async def everything(house: House, slug: str, person: Person) -> list[Told]:
    """All that a buyer in the lobby may ask, with account and ticket, until it is too much, and again and again."""
    with_chance(house, 0.37)
    ticket = (await person.ask("GET", f"/sales/{slug}/ticket")).json()["ticket"]
    name = f"ticket_{house.sale_id(slug)}"
    hand = {"Waiting-Room-Ticket": ticket}
    seen = [
        await person.ask("PUT", f"/sales/{slug}/ticket"),
        await person.ask("PUT", f"/sales/{slug}/ticket", headers=hand),
        await house.client.get(f"/api/v1/sales/{slug}/ticket", headers={"Cookie": f"{name}={ticket}"}),
        await person.ask("POST", f"/sales/{slug}/pass"),
        await person.ask("POST", f"/sales/{slug}/ticket/extend"),
        await house.client.get(f"/api/v1/sales/{slug}/draw", headers=hand),
        await house.client.get(f"/api/v1/sales/{slug}/draw/list", headers=hand),
    ]
    for chance in (0.0, 0.37, 0.99, 0.37, 0.37, 0.37, 0.37, 0.37, 0.37, 0.37):
        with_chance(house, chance)
        seen.append(await house.client.get(f"/api/v1/sales/{slug}/ticket", headers=hand))
        seen.append(await house.client.get(f"/api/v1/sales/{slug}/line", headers=hand))
    assert [answer.status_code for answer in seen[:5]] == [200, 200, 200, 409, 409]
    assert seen[-2].status_code == 429
    assert "retry-after" in seen[-2].headers
    return [masked(answer) for answer in seen]


async def test_every_answer_to_the_first_of_a_lobby_is_the_answer_to_the_last(house: House) -> None:
    slug, crowd = await a_lobby(house, CROWD)
    await house.tick(slug)
    assert_alike([await everything(house, slug, person) for person in await watched(house, slug, crowd)])
    await press_open(house, slug)
    assert (await house.tick(slug)).draw == "drawing"
    assert_alike([await everything(house, slug, person) for person in await watched(house, slug, crowd)])
    await make_list(house, slug)
    everybody = await watched(house, slug, crowd)
    tickets = [(await person.ask("GET", f"/sales/{slug}/ticket")).json() for person in everybody]
    assert sorted(ticket["number"] for ticket in tickets) == list(range(1, CROWD + 1)), "both ends were asked"


async def watched(house: House, slug: str, crowd: list[Person]) -> list[Person]:
    """From here on time stands still for this process, and what it knows of the line is fresh."""
    await house.services.snapshot.renew()
    await house.tell_crowd(slug)
    house.services.polls = PollLimiter(clock=lambda: 100.0)
    return crowd


def assert_alike(told: list[list[Told]]) -> None:
    """What everybody was told is what the first was told, step by step."""
    for answers in told[1:]:
        for at, (mine, theirs) in enumerate(zip(told[0], answers, strict=True)):
            assert mine == theirs, f"answer {at}"


def test_no_log_no_figure_and_no_operator_knows_seed_or_place(demo: RunningDemo) -> None:
    """Of all processes of a running product; what to look for is known once the seed is public."""
    slug = a_lobby_of(demo)
    buyers = [demo.buyer(number) for number in range(31, 31 + CROWD)]
    for buyer in buyers:
        eventually(
            lambda buyer=buyer: buyer.client.put(f"/api/v1/sales/{slug}/ticket").is_success, "joins", 15
        )  # type: ignore[misc]
    tickets = [buyer.ticket(slug)["ticket_id"] for buyer in buyers]
    buyers[0].client.delete(f"/api/v1/sales/{slug}/ticket")
    buyers[0].join(slug)
    with demo.operator() as operator:
        before = seen_by_operators(demo, operator, slug) | written(demo)
        assert operator.post(f"/api/v1/operator/sales/{slug}/actions/open").status_code == 200
        public = eventually(lambda: drawn(operator, slug), "the seed is public", 20)
        listed = operator.get(public["list_url"]).text
    seed = bytes.fromhex(public["seed"])
    assert sorted(listed.split()) == sorted(tickets)
    secrets = {form: f"the seed, {form!r}" for form in forms_of(seed)}
    for ticket in tickets:
        for form in (str(score(seed, ticket)), lot(seed, ticket).lstrip("-")):
            secrets[form.encode()[:17]] = f"the place of {ticket}"
        secrets[ticket.encode()] = f"the ticket {ticket}, and so perhaps the order of several"
    told = str(public).encode()
    assert any(form in told for form in forms_of(seed)), "the search must find what is there"
    for where, text in before.items():
        for secret, what in secrets.items():
            assert secret not in text, f"{where} tells {what}"


def forms_of(seed: bytes) -> list[bytes]:
    """The ways in which somebody would write 32 bytes."""
    texts = (
        seed.hex(),
        seed.hex().upper(),
        base64.b64encode(seed).decode(),
        base64.urlsafe_b64encode(seed).decode(),
    )
    return [seed, repr(seed).encode()[2:-1], *(text.rstrip("=").encode() for text in texts)]


def drawn(client: httpx.Client, slug: str) -> dict[str, Any] | None:
    """The public facts of a draw, once they are."""
    found: dict[str, Any] = client.get(f"/api/v1/sales/{slug}/draw").json()
    return found if found.get("list_url") and found.get("seed") else None


def a_lobby_of(demo: RunningDemo) -> str:
    """A draw of its own that opens when told."""
    now, slug = datetime.now(UTC), f"secret-{uuid.uuid4().hex[:8]}"
    with demo.operator() as operator:
        body = {
            "slug": slug, "title": "A draw", "mode": "draw", "lobby_opens_at": now.isoformat(),
            "opens_at": (now + timedelta(minutes=10)).isoformat(), "closes_at": (now + timedelta(hours=1)).isoformat(),
            "calls_per_minute": 60, "capacity": 5,
            "items": [{"product_id": operator.get("/api/v1/sales/demo").json()["items"][0]["product_id"],
                       "allotted": 10, "limit_per_buyer": 1}],
        }  # fmt: skip
        assert operator.post("/api/v1/operator/sales", json=body).status_code == 201
    return slug


def seen_by_operators(demo: RunningDemo, operator: httpx.Client, slug: str) -> dict[str, bytes]:
    """Everything that an operator can ask about the sale, by API, on pages and as tables, and what monitoring gets."""
    api = [
        *(
            "sales",
            f"sales/{slug}",
            f"sales/{slug}/figures",
            f"sales/{slug}/fairness",
            "audit",
            "audit.csv",
            "orders",
        ),
        *("orders.csv", "stuck", "reconciliation"),
    ]
    pages = [
        *(
            "",
            f"/sales/{slug}",
            f"/sales/{slug}/edit",
            f"/sales/{slug}/preview",
            f"/sales/{slug}/orders",
            "/audit",
        ),
        *("/audit.csv", "/stuck", "/books", f"/sales/{slug}/rehearsal"),
    ]
    email, password = OPERATOR
    with httpx.Client(base_url=demo.url, timeout=10) as browser:
        form = {"email": email, "password": password, "next": "/operator"}
        entered = browser.post("/operator/login", data=form, headers={"Origin": demo.url})
        assert entered.status_code == 303, entered.text
        answers = [operator.get(f"/api/v1/operator/{path}") for path in api]
        answers += [browser.get(f"/operator{path}") for path in pages]
        answers += [browser.get(path) for path in ("/metrics", f"/sales/{slug}", f"/sales/{slug}/fairness")]
    right = {str(answer.request.url): answer.content for answer in answers if answer.status_code == 200}
    assert len(right) >= len(answers) - 3, [(str(one.request.url), one.status_code) for one in answers]
    assert slug.encode() in right[f"{demo.url}/api/v1/operator/audit"]
    return right


def written(demo: RunningDemo) -> dict[str, bytes]:
    """The logs of all processes."""
    logs = {path.name: path.read_bytes() for path in (demo.folder / "logs").iterdir()}
    assert {"admit", "serve", "sweep", "work"} <= {
        name.partition("-")[0].partition(".")[0] for name in logs
    }, logs.keys()
    return logs
