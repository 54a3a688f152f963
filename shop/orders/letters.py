"""The letters that tell a buyer what became of an order, put into the outbox with the change they tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from shop.mail.letters import Occasion, order_letter
from shop.mail.outbox import put_mail, put_mails
from shop.orders.judgement import Judgement
from shop.orders.rules import OrderState
from shop.storage.columns import to_millis
from shop.storage.database import Tx
from shop.storage.tables import order_lines, sales
from shop.vault import Vault

OCCASIONS: Mapping[OrderState, Occasion] = {
    OrderState.RESERVED: Occasion.ORDER_RESERVED,
    OrderState.PAID: Occasion.ORDER_PAID,
    OrderState.REJECTED: Occasion.ORDER_REJECTED,
    OrderState.EXPIRED: Occasion.ORDER_EXPIRED,
    OrderState.CANCELLED: Occasion.ORDER_CANCELLED,
    OrderState.REFUNDED: Occasion.ORDER_REFUNDED,
    OrderState.SHIPPED: Occasion.ORDER_SHIPPED,
    OrderState.RETURNED: Occasion.RETURN_ACCEPTED,
}
# The letter that tells best how an order stands, to be sent again when it did not arrive.
STANDING: Mapping[OrderState, Occasion] = {
    **OCCASIONS,
    OrderState.PAYING: Occasion.ORDER_RESERVED,
    OrderState.FULFILLING: Occasion.ORDER_PAID,
    OrderState.DELIVERED: Occasion.ORDER_SHIPPED,
}


# Made once: making a statement takes longer than sending it. One row at least, also of an order without lines.
_CONTENT = (
    select(sales.c.title.label("sale"), order_lines.c.title, order_lines.c.quantity)
    .select_from(sales)
    .outerjoin(order_lines, order_lines.c.order_id == bindparam("of_order"))
    .where(sales.c.sale_id == bindparam("of_sale"))
    .order_by(order_lines.c.sale_item_id)
)


def put_decision_letters(
    tx: Tx, vault: Vault, sale_title: str, decided: Sequence[tuple[Mapping[str, Any], Judgement]]
) -> None:
    """One letter for each (order row, judgement) of a batch."""
    letters = [
        order_letter(
            OCCASIONS[judgement.state],
            row["account_id"],
            order_id=row["order_id"],
            sale_title=sale_title,
            lines=[(line.item.title, line.quantity) for line in judgement.lines],
            total=row["total"],
            currency=row["currency"],
            hold_expires_at=row["hold_expires_at"],
            reason=row["reason"],
        )
        for row, judgement in decided
    ]
    keys = [f"{row['order_id']}:{judgement.state}" for row, judgement in decided]
    put_mails(tx, vault, list(zip(letters, keys, strict=True)))


def put_change_letter(
    tx: Tx, vault: Vault, order: Row[Any], state: OrderState, occasion: Occasion | None = None
) -> None:
    """A letter that the order is in this state now; `occasion` where it came there in another way than most do."""
    _put_letter(tx, vault, order, occasion or OCCASIONS[state], f"{order.order_id}:{state}")


def put_return_letter(tx: Tx, vault: Vault, order: Row[Any], payment_id: str) -> None:
    """A letter that a payment which the order cannot take is on its way back."""
    _put_letter(tx, vault, order, Occasion.PAYMENT_RETURNED, f"{payment_id}:returned")


def put_part_letter(
    tx: Tx, vault: Vault, order: Row[Any], payment_id: str, amount: int | None, back: int
) -> None:
    """A letter that `amount` minor units of a payment were given back, which makes it `back` in all. None: in another currency
    than the order's.
    """
    key = f"{payment_id}:partly-{back}"
    _put_letter(tx, vault, order, Occasion.ORDER_PARTLY_REFUNDED, key, amount=amount)


def put_refusal_letter(tx: Tx, vault: Vault, order: Row[Any]) -> None:
    """A letter that the goods are not taken back; an order may be asked for more than once."""
    key = f"{order.order_id}:return-refused-{to_millis(tx.now)}"
    _put_letter(tx, vault, order, Occasion.RETURN_REFUSED, key)


def put_standing_letter(tx: Tx, vault: Vault, order: Row[Any]) -> None:
    """The letter of `STANDING` once more; KeyError for a state that has none."""
    key = f"{order.order_id}:again-{to_millis(tx.now)}"
    _put_letter(tx, vault, order, STANDING[OrderState(order.state)], key)


def _put_letter(
    tx: Tx, vault: Vault, order: Row[Any], occasion: Occasion, key: str, *, amount: int | None = None
) -> None:
    content = tx.all(_CONTENT, {"of_order": order.order_id, "of_sale": order.sale_id})
    letter = order_letter(
        occasion,
        order.account_id,
        order_id=order.order_id,
        sale_title=content[0].sale if content else "",
        lines=[(line.title, line.quantity) for line in content if line.title is not None],
        total=order.total,
        currency=order.currency,
        hold_expires_at=order.hold_expires_at,
        reason=order.reason,
        amount=amount,
    )
    put_mail(tx, vault, letter, key)
