"""What an operator does to sales: the bridge between the operator's page or API and `shop.sales`.

After each committed change the sale is published to Redis at once, best effort: the sweeper repairs what is missed. Decides
nothing. Knows no HTTP. Functions without `async` block and run in threads.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.announcing import announce_sale
from gateway.bodies.operator import (
    OperatorItemBody,
    OperatorSaleBody,
    OperatorSaleList,
)
from gateway.bodies.problems import FieldFault
from gateway.inputs import Action, Message, NewSale, SaleChange, SaleItem
from gateway.refusals import BadFields, UnknownAction
from gateway.sessions import Principal
from gateway.views import message_of, phase_of
from shop.sales import acting, create, reading
from shop.sales.reading import Sale
from shop.sales.rules import Action as SaleAction
from shop.sales.rules import Control, ItemDraft, SaleDraft
from shop.sales.rules import frozen_fields as rules_frozen

if TYPE_CHECKING:
    from gateway.services import Services

ACTIONS = tuple(str(action) for action in SaleAction)


def create_sale(services: Services, principal: Principal, wanted: NewSale) -> OperatorSaleBody:
    """A new sale, live at once unless it is a draft. Raises InvalidFields naming every bad field."""
    fields = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    sale = create.create_sale(
        services.db,
        principal.subject_id,
        SaleDraft(**_draft_fields(fields)),
        ticket_key_id=services.ticket_id_keys.active,
        min_turn_window_s=services.settings.turn_floor_s,
        make_draw=services.draws.make,
    )
    return published(services, sale)


def change_sale(
    services: Services, principal: Principal, sale: str, version: int, change: SaleChange
) -> OperatorSaleBody:
    """Change a sale as of `version`. Raises UnknownSale, StaleVersion, SaleFrozen or InvalidFields."""
    given = {name: getattr(change, name) for name in change.__struct_fields__}
    changed = create.change_sale(
        services.db,
        principal.subject_id,
        reading.read_sale(services.db, sale).sale_id,
        version,
        _draft_fields({name: value for name, value in given.items() if value is not msgspec.UNSET}),
        min_turn_window_s=services.settings.turn_floor_s,
        make_draw=services.draws.make,
    )
    return published(services, changed)


def frozen_fields(sale: OperatorSaleBody) -> frozenset[str]:
    """The fields of a sale that may no longer be changed, by the names of the API."""
    frozen = rules_frozen(
        Control(sale.control), sale.lobby_opens_at, sale.opens_at, sale.closes_at, datetime.now(UTC)
    )
    return frozen | {"message"} if "message_en" in frozen else frozen


def act(
    services: Services, principal: Principal, sale: str, action: str, params: Action | None = None
) -> OperatorSaleBody:
    """One of ACTIONS. Raises UnknownAction, UnknownSale, IllegalMove or InvalidFields."""
    if action not in ACTIONS:
        raise UnknownAction("there is no such action")
    wanted = SaleAction(action)
    sale_id = reading.read_sale(services.db, sale).sale_id
    changed = acting.act(
        services.db, principal.subject_id, sale_id, wanted, _params(wanted, params or Action())
    )
    return published(services, changed)


def read_sale(services: Services, sale: str) -> OperatorSaleBody:
    """One sale by its slug, drafts included. Raises UnknownSale."""
    return sale_body(services, reading.read_sale(services.db, sale))


def list_sales(services: Services, cursor: str | None = None, limit: int = 50) -> OperatorSaleList:
    """All sales, the newest first. Raises InvalidFields for a bad cursor."""
    page = reading.list_sales(services.db, cursor=cursor, limit=limit)
    return OperatorSaleList(
        items=[sale_body(services, sale) for sale in page.items], next_cursor=page.next_cursor
    )


# ---------------------------------------------------------------- from inputs


def _draft_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Fields of a request body as fields of a draft."""
    fields = dict(given)
    if "items" in fields:
        fields["items"] = tuple(_item_draft(item) for item in fields["items"])
    if "message" in fields:
        fields |= _message_fields(fields.pop("message"))
    return fields


def _item_draft(item: SaleItem) -> ItemDraft:
    return ItemDraft(
        product_id=item.product_id,
        allotted=item.allotted,
        limit_per_buyer=item.limit_per_buyer,
        price=item.price,
    )


def _message_fields(message: Message | None) -> dict[str, str | None]:
    return {
        "message_ko": message.ko or None if message else None,
        "message_en": message.en or None if message else None,
    }


def _params(action: SaleAction, given: Action) -> dict[str, Any]:
    """What the action takes of the body; anything else is a bad field."""
    takes = {
        SaleAction.SET_RATE: ("calls_per_minute",),
        SaleAction.SET_CAPACITY: ("capacity",),
        SaleAction.ANNOUNCE: ("message",),
        SaleAction.EXTEND_HOLDS: ("minutes", "reason"),
    }.get(action, ())
    values = {name: getattr(given, name) for name in given.__struct_fields__}
    values = {name: value for name, value in values.items() if value is not msgspec.UNSET}
    faults = [
        FieldFault(field=name, message=f"has no meaning for {action}") for name in values if name not in takes
    ]
    faults += [FieldFault(field=name, message="is required") for name in takes if name not in values]
    if faults:
        raise BadFields(faults)
    return _message_fields(values["message"]) if action is SaleAction.ANNOUNCE else values


# ---------------------------------------------------------------- to bodies


def published(services: Services, sale: Sale) -> OperatorSaleBody:
    """After the commit: let Redis and this process know. The sale as operators see it."""
    if sale.control is not Control.DRAFT:
        announce_sale(services, sale.sale_id)
    services.snapshot.look_again()
    return sale_body(services, sale)


def sale_body(services: Services, sale: Sale) -> OperatorSaleBody:
    """A sale with everything that an operator may set."""
    state = services.snapshot.state(sale.slug)
    fresh = state if state is not None and state.settings.version == sale.version else None
    return OperatorSaleBody(
        sale_id=sale.sale_id,
        slug=sale.slug,
        title=sale.title,
        mode=sale.mode,
        control=sale.control,
        phase=phase_of(sale, fresh, datetime.now(UTC)),
        lobby_opens_at=sale.lobby_opens_at,
        opens_at=sale.opens_at,
        closes_at=sale.closes_at,
        calls_per_minute=sale.calls_per_minute,
        capacity=sale.capacity,
        turn_window_s=sale.turn_window_s,
        comeback_s=sale.comeback_s,
        hold_s=sale.hold_s,
        pass_s=sale.pass_s,
        over_call_limit=sale.over_call_limit,
        guests=sale.guests,
        challenge=sale.challenge,
        items=items_of(sale),
        version=sale.version,
        draw=services.draws.body(sale),
        message=message_of(sale.message_ko, sale.message_en),
    )


def items_of(sale: Sale) -> list[OperatorItemBody]:
    """The stock of every product of a sale."""
    return [
        OperatorItemBody(
            product_id=item.product_id,
            title=item.title,
            price=item.price,
            currency=item.currency,
            limit_per_buyer=item.limit_per_buyer,
            allotted=item.allotted,
            held=item.held,
            sold=item.sold,
        )
        for item in sale.items
    ]
