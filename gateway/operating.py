"""What an operator does and watches: the bridge between the operator's page or API and `shop.sales`.

After each committed change the sale is published to Redis at once, best effort: the sweeper repairs what is missed. Decides
nothing. Knows no HTTP. Functions without `async` block and run in threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.bodies import AuditBody, FiguresBody, Items, OperatorOrderBody, OperatorSaleBody
from gateway.identity import Principal
from gateway.inputs import Action, NewSale, SaleChange

if TYPE_CHECKING:
    from gateway.services import Services

ACTIONS = (
    "publish",
    "open",
    "pause",
    "halt",
    "resume",
    "drain",
    "close",
    "cancel",
    "set-rate",
    "set-capacity",
    "announce",
)


def create_sale(services: Services, principal: Principal, wanted: NewSale) -> OperatorSaleBody:
    """A new sale, live at once unless it is a draft. Raises BadFields (422) naming every field."""
    raise NotImplementedError


def change_sale(
    services: Services, principal: Principal, sale: str, version: int, change: SaleChange
) -> OperatorSaleBody:
    """Change a sale as of `version`. Raises UnknownSale, VersionStale, SaleFrozen or BadFields."""
    raise NotImplementedError


def act(
    services: Services, principal: Principal, sale: str, action: str, params: Action | None = None
) -> OperatorSaleBody:
    """One of ACTIONS. Raises UnknownSale, IllegalMove or BadFields."""
    raise NotImplementedError


def read_sale(services: Services, sale: str) -> OperatorSaleBody:
    """One sale by its slug, drafts included. Raises UnknownSale."""
    raise NotImplementedError


def list_sales(services: Services, cursor: str | None = None, limit: int = 50) -> Items[OperatorSaleBody]:
    """All sales, the newest first."""
    raise NotImplementedError


async def figures(services: Services, sale: str) -> FiguresBody:
    """Everything to watch while a sale runs. Raises UnknownSale, Unavailable or RoomUnavailable."""
    raise NotImplementedError


def list_orders(
    services: Services, sale: str | None, state: str | None, cursor: str | None = None, limit: int = 50
) -> Items[OperatorOrderBody]:
    """Decided orders, the newest first."""
    raise NotImplementedError


def list_audit(services: Services, cursor: str | None = None, limit: int = 50) -> Items[AuditBody]:
    """What operators changed, the newest first."""
    raise NotImplementedError
