"""Every refusal of a lane, and the base errors of the workers. No HTTP words: the gateway's problems table maps them."""

from __future__ import annotations


class WorkersError(Exception):
    """Base of everything that this package raises on purpose."""


class LaneUnavailable(WorkersError):
    """Redis does not answer. Whether the order was accepted is not known: the same Idempotency-Key will tell."""

    def __init__(self, what: str, retry_after_s: int = 2) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after_s = retry_after_s


class Refused(WorkersError):
    """The order is understood and was not accepted; nothing was used up, neither the pass nor the key."""


class PassUsed(Refused):
    """A live order has this pass already."""


class KeyReused(Refused):
    """This Idempotency-Key stands for another order body."""


class SaleClosed(Refused):
    """The sale is cancelled or not published, so no pass buys anything in it."""


class HaltedLane(Refused):
    """The operator has halted the sale; the pass stays good."""

    def __init__(self, retry_after_s: int = 5) -> None:
        super().__init__("the operator has halted the sale")
        self.retry_after_s = retry_after_s


class LaneBusy(Refused):
    """Decisions lag behind: the lane is too long, or its oldest order too old."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("orders are accepted faster than they are decided")
        self.retry_after_s = retry_after_s


class LaneRecovering(Refused):
    """The store has lost its data, or the sale's copy is not laid yet; the lane opens once it is."""

    def __init__(self, retry_after_s: int = 3) -> None:
        super().__init__("the lane is not open yet")
        self.retry_after_s = retry_after_s


class ProductRefused(Refused):
    """One product of the order cannot be had; `product_id` says which."""

    def __init__(self, product_id: str, why: str) -> None:
        super().__init__(f"{product_id}: {why}")
        self.product_id = product_id


class NotOnSale(ProductRefused):
    """The sale does not offer this product."""

    def __init__(self, product_id: str) -> None:
        super().__init__(product_id, "not on sale here")


class OverLimit(ProductRefused):
    """More units than one buyer may have."""

    def __init__(self, product_id: str) -> None:
        super().__init__(product_id, "more than one buyer may have")


class SoldOutEarly(ProductRefused):
    """Every unit is sold for good; units that are only held do not count."""

    def __init__(self, product_id: str) -> None:
        super().__init__(product_id, "sold out")
