"""The fairness report as it is shown: whole to operators at any time, and as a summary to everybody once the sale has ended.

The public summary is made at most once a minute in this process, however many ask for it. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.bodies.fairness import ActionBody, DecisionsBody, FairnessBody, WaitsBody
from gateway.records import names_of, table
from gateway.refusals import NotOverYet
from shop.sales import fairness, reading
from shop.sales.fairness import Fairness
from shop.sales.reading import AFTERLIFE, Sale
from shop.sales.rules import ENDED
from shop.sales.turns import CallRow, Numbers, Waits
from shop.storage.columns import to_millis

if TYPE_CHECKING:
    from gateway.services import Services

CSV_COLUMNS = ("at", "event", "number", "ticket_id", "turn", "detail", "waited_s")
KEPT_S, KEPT_LATER_S = 60.0, 3600.0
_MOST_KEPT = 50
_AT_ONCE = 1_000


class Reports:
    """The summaries that this process has made."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, FairnessBody]] = OrderedDict()
        self._making = asyncio.Lock()

    async def summary(self, services: Services, slug: str) -> FairnessBody:
        """For everybody, once the sale has ended. Raises UnknownSale, NotOverYet, Overloaded or Unavailable."""
        sale = await services.snapshot.find(slug)
        if not has_ended(sale):
            raise NotOverYet("the report becomes public when the sale has ended")
        kept = self._fresh(slug)
        if kept is not None:
            return kept
        async with self._making:
            kept = self._fresh(slug)
            if kept is None:
                kept = for_everybody(await services.threads(report, services, slug))
                over_for = datetime.now(UTC) - (sale.closed_at or sale.closes_at)
                lasts_s = KEPT_S if over_for < AFTERLIFE else KEPT_LATER_S
                self._kept[slug] = time.monotonic() + lasts_s, kept
                while len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
            return kept

    def _fresh(self, slug: str) -> FairnessBody | None:
        good_until, body = self._kept.get(slug, (0.0, None))
        return body if time.monotonic() < good_until else None


def has_ended(sale: Sale) -> bool:
    """Whether nobody is called any more."""
    return sale.control in ENDED or sale.closes_at <= datetime.now(UTC)


def report(services: Services, slug: str) -> FairnessBody:
    """The whole report, for operators. Blocks. Raises UnknownSale."""
    found = fairness.fairness(services.db, slug)
    names = names_of(services)
    actions = [
        ActionBody(action=row.action, at=row.at, operator=names.get(row.operator_id), detail=row.detail)
        for row in found.actions
    ]
    return _body(found, actions)


def for_everybody(body: FairnessBody) -> FairnessBody:
    """Without who did it and what was written about it."""
    return replace(body, actions=[ActionBody(action=one.action, at=one.at) for one in body.actions])


def calls_csv(services: Services, slug: str) -> Iterator[str]:
    """Every event of the log as a table, the first first, in parts; a first call says how long its ticket had waited.

    Raises UnknownSale before the first part. Blocks.
    """
    sale = reading.read_sale(services.db, slug)
    return _calls_parts(services, sale, fairness.numbers_of(services.db, sale))


def _calls_parts(services: Services, sale: Sale, numbers: Numbers) -> Iterator[str]:
    yield table([CSV_COLUMNS])
    rows: list[tuple[str, ...]] = []
    for row in fairness.all_calls(services.db, sale.sale_id):
        rows.append(_cells(row, numbers))
        if len(rows) == _AT_ONCE:
            yield table(rows)
            rows = []
    if rows:
        yield table(rows)


def _cells(row: CallRow, numbers: Numbers) -> tuple[str, ...]:
    since_ms = numbers.waiting_since_ms(row.number or 0) if row.event == "call" else None
    waited = "" if since_ms is None else str(max(0, to_millis(row.at) - since_ms) // 1000)
    facts = (str(row.number or ""), row.ticket_id, str(row.turn or ""), row.detail or "")
    return (row.at.isoformat(), row.event, *facts, waited)


def _body(found: Fairness, actions: list[ActionBody]) -> FairnessBody:
    sale, decisions = found.sale, found.decisions
    return FairnessBody(
        sale=sale.slug,
        title=sale.title,
        mode=sale.mode,
        ended=has_ended(sale),
        tickets=found.tickets,
        called=found.called,
        calls=found.calls,
        inversions=found.inversions,
        losses=found.losses,
        back_after_loss=found.back_after_loss,
        waits=waits_body(found.waits),
        claimed=found.claimed,
        returned=found.returned,
        left=found.left,
        no_shows=sum(found.missed.values())
        + sum(found.lapsed.values())
        - found.lapsed.get("comeback_over", 0),
        missed=dict(found.missed),
        lapsed=dict(found.lapsed),
        decisions=DecisionsBody(
            decided=decisions.decided, inversions=decisions.inversions, by_state=dict(decisions.by_state)
        ),
        actions=actions,
        as_of=found.as_of,
        whole_until=found.whole_until,
        off_the_list=found.off_the_list,
    )


def waits_body(waits: Waits) -> WaitsBody:
    """How long people waited."""
    return WaitsBody(p50_s=waits.p50_s, p90_s=waits.p90_s, p99_s=waits.p99_s, longest_s=waits.longest_s)
