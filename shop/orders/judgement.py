"""The decision on one order: held, paid (nothing to pay) or rejected with the reason. All or nothing. Pure.

What is made for every order of a batch is a struct, which takes a tenth of the time that a frozen dataclass does.

`Books` is what a batch has read; it changes as the batch's own decisions are taken, so that the second order of a batch is
judged as if the first were committed already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from shop.orders.entry import OrderEntry
from shop.orders.rules import OrderState, RejectReason


@dataclass(frozen=True, slots=True)
class Item:
    """One product of the sale; `price` in minor units of the sale's currency."""

    sale_item_id: int
    product_id: str
    title: str
    price: int
    limit_per_buyer: int


class Line(msgspec.Struct, frozen=True):
    """So many units of one item."""

    item: Item
    quantity: int


class Judgement(msgspec.Struct, frozen=True):
    """The new state of an order, why it was rejected, and what it takes (nothing when rejected)."""

    state: OrderState
    reason: RejectReason | None
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        return sum(line.item.price * line.quantity for line in self.lines)

    @property
    def rejected(self) -> bool:
        return self.state is OrderState.REJECTED


@dataclass(slots=True)
class Books:
    """What a batch knows of one sale.

    `items` by product id; `free` units by sale item; `bought` units by (account, sale item) in live orders; `used_passes` the
    jtis that live orders have used up; `accounts` those that are open; `addresses` the owner of each known address.
    """

    on_sale: bool
    items: Mapping[str, Item]
    free: dict[int, int]
    bought: dict[tuple[str, int], int]
    used_passes: set[str]
    accounts: frozenset[str]
    addresses: Mapping[str, str]

    def judge(self, entry: OrderEntry) -> Judgement:
        """Decide one order on what is known now; changes nothing."""
        lines = self._lines(entry)
        if reason := self._objection(entry, lines):
            return Judgement(OrderState.REJECTED, reason, lines)
        total = sum(line.item.price * line.quantity for line in lines)
        to_pay = total and entry.late is None
        return Judgement(OrderState.RESERVED if to_pay else OrderState.PAID, None, lines)

    def take(self, entry: OrderEntry, judgement: Judgement) -> None:
        """Enter a decision, for the orders behind it."""
        if judgement.rejected:
            return
        self.used_passes.add(entry.pass_jti)
        for line in judgement.lines:
            item = line.item.sale_item_id
            self.free[item] -= line.quantity
            key = (entry.account_id, item)
            self.bought[key] = self.bought.get(key, 0) + line.quantity

    def _lines(self, entry: OrderEntry) -> tuple[Line, ...]:
        """The lines of products that the sale offers, each product once, by sale item."""
        quantities: dict[str, int] = {}
        for line in entry.lines:
            quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
        known = [Line(self.items[product], n) for product, n in quantities.items() if product in self.items]
        return tuple(sorted(known, key=lambda line: line.item.sale_item_id))

    def _objection(self, entry: OrderEntry, lines: tuple[Line, ...]) -> RejectReason | None:
        offered = lines and all(line.product_id in self.items and line.quantity > 0 for line in entry.lines)
        if entry.account_id not in self.accounts:
            return RejectReason.ACCOUNT_CLOSED
        if entry.late is None and entry.pass_jti in self.used_passes:  # late money has its own order's pass
            return RejectReason.PASS_USED
        if not self.on_sale or not offered:
            return RejectReason.NOT_ON_SALE
        if entry.address_id is not None and self.addresses.get(entry.address_id) != entry.account_id:
            return RejectReason.BAD_ADDRESS
        if any(self._owned(entry, line) + line.quantity > line.item.limit_per_buyer for line in lines):
            return RejectReason.OVER_LIMIT
        if any(line.quantity > self.free[line.item.sale_item_id] for line in lines):
            return RejectReason.SOLD_OUT
        return None

    def _owned(self, entry: OrderEntry, line: Line) -> int:
        return self.bought.get((entry.account_id, line.item.sale_item_id), 0)
