"""What operators see of sales, orders and each other's changes."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.accounts import SessionBody
from gateway.bodies.base import Body, Items
from gateway.bodies.draws import DrawBody
from gateway.bodies.fairness import WaitsBody
from gateway.bodies.orders import OrderLineBody
from gateway.bodies.sales import MessageBody


class OperatorSessionBody(SessionBody, frozen=True):
    """The tokens of an operator's session."""

    role: str


class OperatorItemBody(Body, frozen=True):
    """Stock of one product in a sale."""

    product_id: str
    title: str
    price: int
    currency: str
    limit_per_buyer: int
    allotted: int
    held: int
    sold: int


class OperatorSaleBody(Body, frozen=True):
    """A sale with everything that an operator may set; `version` is its ETag."""

    sale_id: str
    slug: str
    title: str
    mode: str
    control: str
    phase: str
    lobby_opens_at: datetime
    opens_at: datetime
    closes_at: datetime
    calls_per_minute: int
    capacity: int
    turn_window_s: int
    comeback_s: int
    hold_s: int
    pass_s: int
    over_call_limit: float
    guests: bool
    challenge: bool
    items: list[OperatorItemBody]
    version: int
    draw: DrawBody | None = None
    message: MessageBody | None = None


class OperatorSaleList(Items[OperatorSaleBody], frozen=True, kw_only=True):
    """All sales, the newest first."""


class ShelfBody(Body, frozen=True):
    """A product and the units on its shelf, which no sale has been allotted."""

    product_id: str
    title: str
    on_hand: int


class ShelfList(Items[ShelfBody], frozen=True, kw_only=True):
    """All products, by title."""


class LineFigures(Body, frozen=True):
    """People in the line, by where they stand now; and since the store began: turns that have ended, those of them that nobody
    used (`no_shows`), tickets that lapsed or left, and slots that became free again.
    """

    waiting: int
    called: int
    missed: int
    shopping: int
    ordering: int
    now_serving: int
    calls_last_minute: int
    turns_ended: int
    no_shows: int
    lapsed: int
    left: int
    freed: int


class LeaderBody(Body, frozen=True):
    """The controller that calls: its name, how long ago it did so last, and how many others would take over. Null without one."""

    name: str | None
    lag_ms: int | None
    standby: int


class LaneFigures(Body, frozen=True):
    """Orders that are accepted and not yet decided."""

    length: int
    oldest_ms: int


class WorkFigures(Body, frozen=True):
    """Workers that gave a sign of life lately, by queue; `swept_ms` since the sale's copies were last laid, null if they never were."""

    lanes: int
    outbox: int
    swept_ms: int | None


class RecoveryBody(Body, frozen=True):
    """What a loss of Redis has left: places are shown again from `settled_at`; so many slots count as taken; for so long nobody is called."""

    lost_at: datetime
    settled_at: datetime
    slots_unknown: int
    quiet_s: int


class MinuteBody(Body, frozen=True):
    """Calls in one minute."""

    at: datetime
    calls: int


class ProviderFigures(Body, frozen=True):
    """Calls to a payment provider in the last 30 s, and those of them that it did not answer. `down`: paying does not work by that."""

    name: str
    calls: int
    failed: int
    down: bool


class FiguresBody(Body, frozen=True):
    """Everything an operator watches while a sale runs. `leading`: a controller admits just now. `limit` is what keeps more people
    from being called: none, rate, capacity, stock, backlog, provider_down, rebuilding, or the phase that calls nobody; since
    `limit_since`. `waits`: of the last 200 buyers who were called for the first time.
    """

    sale: str
    title: str
    phase: str
    control: str
    leading: bool
    calls_per_minute: int
    capacity: int
    limit: str
    limit_since: datetime | None
    line: LineFigures
    leader: LeaderBody
    lane: LaneFigures
    lane_length: int
    stock: list[OperatorItemBody]
    orders: dict[str, int]
    calls: list[MinuteBody]
    waits: WaitsBody
    providers: list[ProviderFigures]
    version: int
    as_of: datetime
    work: WorkFigures | None = None
    recovery: RecoveryBody | None = None


class OperatorOrderBody(Body, frozen=True):
    """An order in the operator's list; personal data is not part of it."""

    order_id: str
    sale: str
    account_id: str
    state: str
    seq: int | None
    total: int
    currency: str
    lines: list[OrderLineBody]
    accepted_at: datetime
    reason: str | None = None
    review_reason: str | None = None
    hold_expires_at: datetime | None = None


class OperatorOrderList(Items[OperatorOrderBody], frozen=True, kw_only=True):
    """Orders of all buyers, the newest first."""


class AuditBody(Body, frozen=True):
    """One change that an operator made; `operator` is the name, `sale` the slug of the sale that was changed."""

    audit_id: int
    operator_id: str
    action: str
    subject: str
    detail: dict[str, object]
    at: datetime
    operator: str | None = None
    sale: str | None = None


class AuditList(Items[AuditBody], frozen=True, kw_only=True):
    """What operators changed, the newest first."""
