"""The fairness report of a sale, running or ended: tickets against calls against decisions, waits, turns that nobody used, and what
operators did. Read in parts from what was copied and decided, so that a sale of a million tickets needs some megabytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from shop.sales import draws
from shop.sales.audit import AuditRow, list_audit
from shop.sales.line import calls_after, numbers_noted, whole_until
from shop.sales.reading import Sale, read_sale
from shop.sales.turns import CallRow, Numbers, Turns, Waits, inversions
from shop.sales.waits import beginning_of
from shop.storage.columns import to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import orders

AT_ONCE = 5_000
# More than that would be no report any more; the list of who did what has them all.
MOST_ACTIONS = 500


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decided orders, and pairs of them that were decided in another order than the one in which they were accepted."""

    decided: int
    inversions: int
    by_state: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Fairness:
    """What the books say. `inversions`: pairs of tickets of which the higher number was called first. Tickets that came back to the
    line after a loss of Redis (`losses`), when others had been called, are in `back_after_loss` instead. `off_the_list`: tickets of a
    draw that were called at another place than the list gives them, None in a FIFO sale. `whole_until`: the log is complete up to then.
    """

    sale: Sale
    as_of: datetime
    whole_until: datetime | None
    tickets: int
    called: int
    calls: int
    inversions: int
    losses: int
    back_after_loss: int
    off_the_list: int | None
    waits: Waits
    claimed: int
    returned: int
    left: int
    missed: Mapping[str, int]
    lapsed: Mapping[str, int]
    decisions: Decisions
    actions: list[AuditRow]


def fairness(db: Database, slug: str) -> Fairness:
    """The report as the books are now. Raises `UnknownSale`."""
    sale = read_sale(db, slug)
    numbers = numbers_of(db, sale)
    turns = Turns(numbers, _listed(db, sale))
    for row in all_calls(db, sale.sale_id):
        turns.read(row)
    return Fairness(
        sale=sale,
        as_of=db.read(lambda tx: tx.now),
        whole_until=whole_until(db, sale.sale_id),
        tickets=numbers.given,
        called=turns.called,
        calls=turns.calls,
        inversions=turns.inversions(),
        losses=turns.losses,
        back_after_loss=turns.back_after_loss,
        off_the_list=turns.off_the_list if sale.draw is not None else None,
        waits=turns.waits(),
        claimed=turns.events["claim"],
        returned=turns.events["return"],
        left=turns.events["free left"],
        missed=_reasons(turns, "miss"),
        lapsed=_reasons(turns, "lapse"),
        decisions=_decisions(db, sale.sale_id),
        actions=_actions(db, sale.sale_id),
    )


def numbers_of(db: Database, sale: Sale) -> Numbers:
    """When the numbers of a sale were given."""
    opened, lobby = beginning_of(sale)
    return Numbers(db.read(numbers_noted, sale.sale_id), to_millis(opened), lobby)


def all_calls(db: Database, sale_id: str) -> Iterator[CallRow]:
    """The whole log in its order, read in parts."""
    after = ""
    while rows := calls_after(db, sale_id, after, AT_ONCE):
        yield from rows
        after = rows[-1].entry_id


class _List:
    """The public list of a draw as one text; the ticket at a number is cut out of it."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def __call__(self, number: int) -> str | None:
        start = (number - 1) * (draws.ID_LENGTH + 1)
        return self._text[start : start + draws.ID_LENGTH].decode() or None


def _listed(db: Database, sale: Sale) -> _List | None:
    if sale.draw is None or not sale.draw.public:
        return None
    return _List(draws.list_text(db, sale.sale_id))


def _reasons(turns: Turns, event: str) -> dict[str, int]:
    return {
        name.partition(" ")[2]: count
        for name, count in sorted(turns.events.items())
        if name.startswith(f"{event} ")
    }


def _decisions(db: Database, sale_id: str) -> Decisions:
    accepted = array("q")
    last = 0
    while rows := db.read(_decided_after, sale_id, last):
        accepted.extend(number for _, number in rows)
        last = rows[-1][0]
    return Decisions(len(accepted), inversions(accepted), db.read(_by_state, sale_id))


def _decided_after(tx: Tx, sale_id: str, seq: int) -> list[tuple[int, int]]:
    query = select(orders.c.seq, orders.c.accepted_no).where(orders.c.sale_id == sale_id, orders.c.seq > seq)
    return [
        (int(row.seq), int(row.accepted_no)) for row in tx.all(query.order_by(orders.c.seq).limit(AT_ONCE))
    ]


def _by_state(tx: Tx, sale_id: str) -> dict[str, int]:
    counts = select(orders.c.state, func.count().label("orders")).where(orders.c.sale_id == sale_id)
    return {row.state: int(row.orders) for row in tx.all(counts.group_by(orders.c.state))}


def _actions(db: Database, sale_id: str) -> list[AuditRow]:
    """What operators did to the sale, the first first; of very many the last ones."""
    found: list[AuditRow] = []
    before: int | None = None
    while len(found) < MOST_ACTIONS and (rows := list_audit(db, subject=sale_id, before=before, limit=100)):
        found += rows
        before = rows[-1].audit_id
    return found[::-1]
