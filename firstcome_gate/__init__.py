"""The gate for a Python site: let in whoever holds a pass of the waiting room, send everybody else there.

    app = Gate(app, room="https://sale.example.com", sale_id="3f9c2a…")

`Gate` is plain ASGI and needs neither our settings nor a store: passes are verified here, with the keys that the room publishes.
"""

from firstcome_gate.keys import PublishedKeys, Reader, given_keys
from firstcome_gate.middleware import Gate
from waiting_room.passes import Pass

__all__ = ["Gate", "Pass", "PublishedKeys", "Reader", "given_keys"]
