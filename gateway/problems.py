"""The one table from refusals to HTTP: status, stable code and title for every class, found by its base classes (MRO).

What is no refusal is a fault: logged whole, told to nobody. How a problem goes out stands in `problem_answers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis.exceptions
from litestar.exceptions import HTTPException, ValidationException

from gateway import refusals as own
from gateway.bodies.problems import FieldFault
from shop import errors as shop
from shop.accounts import rules as accounts
from shop.cart import rules as cart
from shop.catalogue import rules as catalogue
from shop.orders import receipt
from shop.orders import rules as orders
from shop.orders.stuck import NotStuck
from shop.payments import rules as payments
from shop.sales import rules as sales
from waiting_room import refusals as room
from workers import refusals as lanes

RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `speaks`: the refusal's own text is meant for whoever asked and becomes `detail`."""

    status: int
    code: str
    title: str
    speaks: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """What an exception means for whoever asked. `headers` go out beside it."""

    status: int
    code: str
    title: str
    detail: str | None = None
    errors: tuple[FieldFault, ...] = ()
    retry_after_s: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """Where the problem is described."""
        return f"/schema#problem-{self.code}"


TABLE: Mapping[type[Exception], Row] = {
    # the gateway's own
    own.GatewayRefused: Row(409, "refused", "This is not possible", speaks=True),
    own.RetryLater: Row(503, "unavailable", "Try again in a moment", speaks=True),
    own.NotSignedIn: Row(401, "not_signed_in", "Sign in first", speaks=True),
    own.TwoIdentities: Row(400, "two_identities", "A cookie and a bearer token came together", speaks=True),
    own.ForeignRequest: Row(403, "foreign_request", "The request did not come from this site", speaks=True),
    own.NotVerified: Row(403, "unverified", "The e-mail address is not verified", speaks=True),
    own.WrongRole: Row(403, "forbidden", "This account may not do that", speaks=True),
    own.NoPass: Row(401, "no_pass", "This opens with an admission pass"),
    own.UnknownSite: Row(403, "unknown_site", "The gate does not serve this site"),
    own.CodeSpent: Row(403, "code_spent", "The one-time code is not good, or no longer"),
    own.UnreadableBody: Row(400, "unreadable_body", "The body cannot be read", speaks=True),
    own.WrongMediaType: Row(415, "unsupported_media_type", "The body has another media type", speaks=True),
    own.BadFields: Row(422, "bad_fields", "Some fields cannot be used", speaks=True),
    own.UnknownSale: Row(404, "unknown_sale", "There is no such sale"),
    own.UnknownProduct: Row(404, "unknown_product", "There is no such product"),
    own.NoDraw: Row(404, "no_draw", "This sale is not drawn", speaks=True),
    own.NotDrawnYet: Row(409, "not_drawn_yet", "The list of the draw is not public yet", speaks=True),
    own.NotOverYet: Row(409, "not_over_yet", "The sale has not ended yet", speaks=True),
    own.Undecided: Row(409, "undecided", "This order is not decided yet", speaks=True),
    own.UnknownAction: Row(404, "unknown_action", "There is no such action"),
    own.IdempotencyKeyMissing: Row(
        400, "idempotency_key_missing", "An Idempotency-Key is needed", speaks=True
    ),
    own.IdempotencyKeyMalformed: Row(
        400, "idempotency_key_malformed", "The Idempotency-Key cannot be used", speaks=True
    ),
    own.NotAdmitted: Row(403, "not_admitted", "Checkout opens with your own, unexpired pass", speaks=True),
    own.IfMatchMissing: Row(428, "precondition_required", "Say which version was changed", speaks=True),
    own.VersionStale: Row(412, "precondition_failed", "Somebody else changed it since", speaks=True),
    own.TooManyPolls: Row(429, "too_many_polls", "Ask less often", speaks=True),
    own.TooManyJoins: Row(429, "too_many_joins", "Join less often", speaks=True),
    own.TooManyAttempts: Row(429, "too_many_attempts", "Too many attempts", speaks=True),
    own.Overloaded: Row(503, "overloaded", "Too many at once", speaks=True),
    own.RehearsalBusy: Row(503, "rehearsal_busy", "A rehearsal is under way", speaks=True),
    own.RehearsalBrokeOff: Row(503, "rehearsal_broke_off", "The rehearsal broke off", speaks=True),
    own.SnapshotStale: Row(503, "unavailable", "Try again in a moment"),
    own.NotReady: Row(503, "not_ready", "A dependency does not answer"),
    # the waiting room
    room.RoomUnavailable: Row(503, "room_unavailable", "The line cannot be reached; your place is kept"),
    room.Refused: Row(409, "refused", "This is not possible"),
    room.TooEarly: Row(409, "too_early", "The lobby has not opened yet"),
    room.ChallengeRequired: Row(
        403, "challenge_required", "Joining takes a solved challenge just now", speaks=True
    ),
    room.LineClosed: Row(409, "line_closed", "The line takes nobody any more"),
    room.SoldOut: Row(409, "sold_out", "Everything is sold"),
    room.NoTicket: Row(404, "no_ticket", "You have no place in this line"),
    room.NotCalled: Row(409, "not_called", "It is not your turn"),
    room.NotCalledYet: Row(409, "not_called_yet", "You have not been called yet"),
    room.TurnLapsed: Row(410, "turn_lapsed", "Your turn is over"),
    room.AlreadyExtended: Row(409, "already_extended", "The turn was extended already"),
    room.OrderOpen: Row(409, "order_open", "You have a live order"),
    room.Halted: Row(503, "halted", "The sale has been halted"),
    room.InvalidToken: Row(401, "invalid_token", "The token is not valid, or no longer"),
    # the lanes
    lanes.LaneUnavailable: Row(503, "lane_unavailable", "The order could not be accepted just now"),
    lanes.Refused: Row(409, "refused", "This is not possible"),
    lanes.PassUsed: Row(409, "pass_used", "This pass has bought already"),
    lanes.KeyReused: Row(422, "idempotency_key_reused", "This Idempotency-Key stands for another request"),
    lanes.SaleClosed: Row(409, "sale_closed", "Nothing is sold in this sale any more"),
    lanes.HaltedLane: Row(503, "halted", "The sale has been halted"),
    lanes.LaneBusy: Row(503, "lane_busy", "Too many orders at once; nothing was used up"),
    lanes.LaneRecovering: Row(503, "lane_recovering", "The lane opens again in a moment"),
    lanes.NotOnSale: Row(409, "not_on_sale", "The sale does not offer this product", speaks=True),
    lanes.OverLimit: Row(409, "over_limit", "More than one buyer may have", speaks=True),
    lanes.SoldOutEarly: Row(409, "sold_out", "Everything is sold", speaks=True),
    # the shop
    shop.Unavailable: Row(503, "unavailable", "Try again in a moment"),
    shop.Refused: Row(409, "refused", "This is not possible"),
    shop.IllegalMove: Row(409, "illegal_move", "This does not follow from the present state", speaks=True),
    shop.InvalidFields: Row(422, "bad_fields", "Some fields cannot be used"),
    catalogue.UnknownProduct: Row(404, "unknown_product", "There is no such product"),
    cart.CartFull: Row(409, "cart_full", "The cart is full", speaks=True),
    receipt.InvalidReceipt: Row(401, "invalid_token", "The token is not valid, or no longer"),
    catalogue.ProductExists: Row(409, "product_exists", "There is such a product already"),
    sales.UnknownSale: Row(404, "unknown_sale", "There is no such sale"),
    sales.StaleVersion: Row(412, "precondition_failed", "Somebody else changed it since", speaks=True),
    sales.NotInSale: Row(409, "not_on_sale", "The sale does not offer this product", speaks=True),
    sales.StaleCount: Row(412, "precondition_failed", "Somebody else changed it since", speaks=True),
    sales.SaleFrozen: Row(
        409, "sale_frozen", "Buyers have been told this; it may no longer change", speaks=True
    ),
    NotStuck: Row(409, "not_stuck", "This is not stuck any more", speaks=True),
    orders.UnknownOrder: Row(404, "unknown_order", "There is no such order"),
    payments.BadSignature: Row(401, "bad_signature", "The callback is not signed by the provider"),
    payments.Unreadable: Row(400, "unreadable_body", "The body cannot be read"),
    payments.BodyTooLarge: Row(413, "too_large", "The body is too large"),
    payments.UnknownProvider: Row(404, "unknown_provider", "There is no such payment provider"),
    payments.KeyReused: Row(422, "idempotency_key_reused", "This Idempotency-Key stands for another request"),
    payments.StillRunning: Row(409, "still_running", "This payment is being started"),
    payments.StaleRefund: Row(412, "precondition_failed", "Somebody else changed it since", speaks=True),
    payments.UnderReview: Row(409, "under_review", "A payment of this order is being looked at", speaks=True),
    payments.ProviderUnavailable: Row(503, "provider_unavailable", "The payment provider does not answer"),
    payments.ProviderRefused: Row(503, "provider_refused", "The payment provider does not take this payment"),
    accounts.BadCredentials: Row(401, "bad_credentials", "The address or the password is wrong"),
    accounts.Unverified: Row(403, "unverified", "The e-mail address is not verified"),
    accounts.BadCode: Row(400, "bad_code", "The code is wrong or no longer valid"),
    accounts.SessionEnded: Row(401, "session_ended", "Sign in again"),
    accounts.UnknownAccount: Row(404, "unknown_account", "There is no such account"),
    accounts.UnknownAddress: Row(404, "unknown_address", "There is no such address"),
    accounts.TooManyAddresses: Row(409, "too_many_addresses", "The address book is full", speaks=True),
    accounts.OrdersOpen: Row(409, "orders_open", "An order is still on its way", speaks=True),
    accounts.OperatorExists: Row(409, "operator_exists", "There is such an operator already"),
    accounts.UnknownOperator: Row(404, "unknown_operator", "There is no such operator"),
    # faults of a store that no room has worded
    redis.exceptions.ConnectionError: Row(503, "unavailable", "Try again in a moment"),
    redis.exceptions.TimeoutError: Row(503, "unavailable", "Try again in a moment"),
}

_HTTP: Mapping[int, Row] = {
    400: Row(400, "bad_request", "The request cannot be read"),
    401: Row(401, "not_signed_in", "Sign in first"),
    403: Row(403, "forbidden", "This is not allowed"),
    404: Row(404, "not_found", "There is nothing here"),
    405: Row(405, "method_not_allowed", "This cannot be done here"),
    413: Row(413, "too_large", "The body is too large"),
    415: Row(415, "unsupported_media_type", "The body has another media type"),
    429: Row(429, "too_many_requests", "Ask less often"),
    503: Row(503, "unavailable", "Try again in a moment"),
}
FAULT = Row(500, "fault", "Something went wrong on our side")
BASES = (own.GatewayRefused, room.RoomError, lanes.WorkersError, shop.ShopError, HTTPException, Exception)


def all_rows() -> tuple[Row, ...]:
    """Every line of the table, once for each code."""
    return tuple({row.code: row for row in (*TABLE.values(), *_HTTP.values(), FAULT)}.values())


def row_of(kind: type[BaseException]) -> Row | None:
    """The table's line for a class, its own or that of its nearest base."""
    return next((TABLE[base] for base in kind.__mro__ if base in TABLE), None)


def problem_of(error: Exception) -> Problem:
    """What an exception means for whoever asked. Total: what nobody has worded is a fault (500) without details."""
    row = row_of(type(error))
    if row is not None:
        return _worded(row, error)
    if isinstance(error, HTTPException):
        return _http(error)
    return Problem(FAULT.status, FAULT.code, FAULT.title)


def _worded(row: Row, error: Exception) -> Problem:
    retry = getattr(error, "retry_after_s", None)
    if retry is None and row.status in (429, 503):
        retry = RETRY_AFTER_S
    extra: dict[str, Any] = {
        name: str(getattr(error, name)) for name in ("current", "wanted") if hasattr(error, name)
    }
    if hasattr(error, "failing"):
        extra["failing"] = list(error.failing)
    return Problem(
        row.status,
        row.code,
        row.title,
        detail=str(error) or None if row.speaks else None,
        errors=tuple(_faults(getattr(error, "errors", None) or getattr(error, "faults", ()))),
        retry_after_s=None if retry is None else max(1, int(retry)),
        headers={"WWW-Authenticate": "Bearer"} if row.status == 401 else {},
        extra=extra,
    )


def _faults(errors: Any) -> Iterator[FieldFault]:
    """Field faults as the gateway and the shop give them: objects with `field` and `message`."""
    for fault in errors:
        yield FieldFault(field=fault.field, message=fault.message)


def _http(error: HTTPException) -> Problem:
    """Litestar's own: no such route, wrong method, bad parameters."""
    if isinstance(error, ValidationException):
        return _bad_parameters(error)
    row = _HTTP.get(error.status_code)
    if row is None:
        row = _HTTP[400] if 400 <= error.status_code < 500 else FAULT
    allow = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    retry = RETRY_AFTER_S if row.status in (429, 503) else None
    return Problem(row.status, row.code, row.title, retry_after_s=retry, headers=allow)


def _bad_parameters(error: ValidationException) -> Problem:
    faults = []
    for fault in error.extra if isinstance(error.extra, list) else ():
        name = str(fault.get("key", "")) if isinstance(fault, dict) else ""
        if name in ("data", ""):
            return problem_of(own.UnreadableBody("a JSON body is needed"))
        faults.append(FieldFault(field=name, message="cannot be used"))
    row = TABLE[own.BadFields]
    return Problem(row.status, row.code, row.title, errors=tuple(faults))
