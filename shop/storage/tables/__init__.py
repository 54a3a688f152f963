"""Every table of the shop. Constraints that enforce a law carry its name.

Money is an integer in minor units of `currency`; times are `Instant`s (UTC). Personal fields end in `_sealed` (encrypted) or
`_lookup` (keyed hash). State columns hold the lower-case words of the state tables in each subject's `rules.py`.

Tables are asked for here, never from the modules below: whoever has one has the whole `metadata`.
"""

from shop.storage.tables.catalogue import cart_items, products
from shop.storage.tables.effects import outbox
from shop.storage.tables.line import call_log, draw_pages, draws, number_marks
from shop.storage.tables.ordering import lane_attempts, lanes, order_lines, orders, reservations
from shop.storage.tables.paying import payment_events, payments
from shop.storage.tables.people import account_codes, accounts, addresses, audit, operators, sessions
from shop.storage.tables.selling import sale_items, sales, stock_ledger
from shop.storage.tables.table import metadata

__all__ = [
    "account_codes",
    "accounts",
    "addresses",
    "audit",
    "call_log",
    "cart_items",
    "draw_pages",
    "draws",
    "lane_attempts",
    "lanes",
    "metadata",
    "number_marks",
    "operators",
    "order_lines",
    "orders",
    "outbox",
    "payment_events",
    "payments",
    "products",
    "reservations",
    "sale_items",
    "sales",
    "sessions",
    "stock_ledger",
]
