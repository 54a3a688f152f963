"""Stock on paper: shelf, counters, ledger and reservations of one sale, moved together by hand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Item:
    """One product of the sale; `price` in minor units. `shelf`: units that no sale has."""

    price: int
    limit: int
    allotted: int
    shelf: int
    held: int = 0
    sold: int = 0

    @property
    def free(self) -> int:
        return self.allotted - self.held - self.sold


@dataclass
class Stock:
    """`ledger` rows are (product, order, allotted, held, sold, reason); `reserved` (order, product) → the state of each reservation."""

    items: dict[str, Item]
    ledger: list[tuple[str, str | None, int, int, int, str]] = field(default_factory=list)
    reserved: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for product, item in self.items.items():
            self.ledger.append((product, None, item.allotted, 0, 0, "allot"))

    def allot(self, product: str, units: int, reason: str) -> None:
        """Units from the shelf into the sale, or (below 0) back."""
        item = self.items[product]
        item.allotted += units
        item.shelf -= units
        self.ledger.append((product, None, units, 0, 0, reason))

    def return_free(self) -> None:
        for product, item in self.items.items():
            if item.free:
                self.allot(product, -item.free, "return")

    def hold(self, order_id: str, units: dict[str, int]) -> None:
        self._move(order_id, units, 1, 0, "hold", "held")

    def sell(self, order_id: str, units: dict[str, int]) -> None:
        """Units that nobody holds."""
        self._move(order_id, units, 0, 1, "paid", "committed")

    def sell_held(self, order_id: str, units: dict[str, int]) -> None:
        self._move(order_id, units, -1, 1, "paid", "committed", of="held")

    def release(self, order_id: str, units: dict[str, int], reason: str) -> None:
        self._move(order_id, units, -1, 0, reason, "released", of="held")

    def take_back(self, order_id: str, units: dict[str, int]) -> None:
        self._move(order_id, units, 0, -1, "refunded", "returned", of="committed")

    def _move(
        self,
        order_id: str,
        units: dict[str, int],
        held: int,
        sold: int,
        reason: str,
        state: str,
        of: str = "",
    ) -> None:
        for product, number in units.items():
            item, states = self.items[product], self.reserved.setdefault((order_id, product), [])
            item.held += held * number
            item.sold += sold * number
            assert item.held >= 0 <= item.sold, "the paper itself is wrong"
            assert item.free >= 0, "the paper itself oversells"
            self.ledger.append((product, order_id, 0, held * number, sold * number, reason))
            if of:
                states[states.index(of)] = state
            else:
                states.append(state)
