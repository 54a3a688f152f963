"""What the shared state of the line costs, in full and as 304, against an empty handler with a body of the same size."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from load.figures import Figure, interleave, median_ratio, middle, shown
from load.generator import Requests, ask, request
from load.rows.polls import rates, waiting_room
from load.stage import stage

WAITING = 10_000
SECONDS = 2.0


def against_empty_handler(scale: float = 1.0) -> Iterator[Figure]:
    """The lesser of the two ratios, 200 and 304."""
    with stage() as here:
        sale, _ = waiting_room(here, max(100, int(WAITING * scale)))
        path = f"/api/v1/sales/{sale.slug}/line"
        first = httpx.get(f"http://127.0.0.1:{here.port}{path}", trust_env=False)
        first.raise_for_status()
        size = len(first.content)
        # While nobody is called the document stays the same, and so does its tag.
        full = Requests(here.folder / "full", [request("GET", path)])
        known = Requests(
            here.folder / "known", [request("GET", path, {"If-None-Match": first.headers["etag"]})]
        )
        empty = here.peer("empty", path, str(size))
        ask(here.port, full, seconds=1)
        runs = interleave(
            {
                "200": lambda: ask(here.port, full, seconds=SECONDS),
                "304": lambda: ask(here.port, known, seconds=SECONDS),
                "empty": lambda: ask(empty, full, seconds=SECONDS),
            }
        )
        ratios = {name: median_ratio(rates(runs[name]), rates(runs["empty"])) for name in ("200", "304")}
        yield Figure(
            "line_vs_empty_handler",
            min(ratios.values()),
            "ratio",
            1.2,
            "higher",
            f"200: {shown(ratios['200'])}, 304: {shown(ratios['304'])}; {shown(middle(rates(runs['200'])))} "
            f"requests/s against {shown(middle(rates(runs['empty'])))}, {size} bytes",
        )
