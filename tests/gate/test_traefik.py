"""The documented Traefik configuration, asked as Traefik's forwardAuth asks."""

from __future__ import annotations

import re
from typing import Any

import yaml

from firstcome.settings import Settings
from tests.api.conftest import House, open_house
from tests.gate.conftest import EXAMPLES

SITE = "https://tickets.example.org"


async def forward_auth(house: House, middleware: dict[str, Any], sale: str, sent: dict[str, str]) -> Any:
    """The request's headers as the site gets them, or the answer that the client gets instead.

    Traefik asks by GET with all headers of the request and its own X-Forwarded-*. After a 2xx it deletes from the request what the
    configuration names or its pattern fits, and puts in what the answer has of these.
    """
    told = middleware["forwardAuth"]
    assert told["trustForwardHeader"] is False
    asked = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "tickets.example.org",
    }
    path = told["address"].partition("127.0.0.1:8000")[2].replace("sale=demo", f"sale={sale}")
    answer = await house.client.get(path, headers=sent | asked | {"X-Forwarded-Uri": "/seats?row=7"})
    if answer.status_code // 100 != 2:
        return answer
    named = {name.lower() for name in told["authResponseHeaders"]}

    def taken(name: str) -> bool:
        return name.lower() in named or bool(re.match(told["authResponseHeadersRegex"], name.title()))

    kept = {name.lower(): value for name, value in sent.items() if not taken(name)}
    return kept | {name.lower(): value for name, value in answer.headers.items() if taken(name)}


async def test_the_documented_traefik_lets_passes_in_and_nothing_of_the_room(settings: Settings) -> None:
    document = yaml.safe_load((EXAMPLES / "traefik.yml").read_text())["http"]
    async with open_house(settings.model_copy(update={"gate_sites": (SITE,)})) as house:
        sale, buyer = await house.sale(), await house.buyer()
        admission = await house.admitted(buyer, sale)
        for router in ("shop", "tickets"):
            (name,) = document["routers"][router]["middlewares"]
            middleware = document["middlewares"][name]
            led = await forward_auth(
                house, middleware, sale, {"Accept": "text/html", "X-Firstcome-Account": "m"}
            )
            assert led.status_code == 303
            told = await forward_auth(house, middleware, sale, {"Accept": "*/*"})
            assert told.status_code == 401
            seen = await forward_auth(
                house,
                middleware,
                sale,
                {
                    "Cookie": f"basket=1; ticket_{house.sale_id(sale)}=t",
                    "Admission-Pass": admission,
                    "X-Firstcome-Account": "mallory",
                    "X-Firstcome-Other": "mallory",
                },
            )
            assert seen["cookie"] == "basket=1"
            assert seen["x-firstcome-account"] == buyer.account_id
            assert "admission-pass" not in seen
            assert "mallory" not in str(seen)
