"""From which network a request comes, without remembering anybody's address.

A network is what one customer of a provider is usually given (IPv4 /24, IPv6 /56), known by a keyed hash that changes daily.
Addresses that are not public count as none: there a whole house, or a proxy that is not trusted, would be taken for one robot.
"""

from __future__ import annotations

import base64
import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from waiting_room.macs import mac

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

    from gateway.services import KeySet

BITS = {4: 24, 6: 56}
DAY_S = 86_400
_TAG_BYTES = 9


class Networks:
    """Hashes networks. `keys`: the active one is used; processes that share the ring name a network alike."""

    def __init__(self, keys: KeySet) -> None:
        self._key = keys.by_id[keys.active]

    def tag(self, address: str, now_s: float) -> str:
        """12 characters for the network of this address on this day; "" for one that is not counted."""
        network = network_of(address)
        if not network:
            return ""
        of_the_day = mac(self._key, b"day %d" % (now_s // DAY_S))
        return base64.urlsafe_b64encode(mac(of_the_day, network.encode())[:_TAG_BYTES]).decode()


@lru_cache(maxsize=10_000)  # a crowd behind one proxy, or one provider, comes again and again
def network_of(address: str) -> str:
    """The network of a public address, such as 198.51.100.0/24; "" for private, local and unreadable ones."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if not parsed.is_global:
        return ""
    return str(ipaddress.ip_network(f"{parsed}/{BITS[parsed.version]}", strict=False))


def crowd_of(request: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The network that asks, or the address itself where that is not public."""
    return network_of(client_of(request)) or client_of(request)


def client_of(request: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The address that asks, as far as it can be believed."""
    return address_of(request.scope)


def address_of(scope: Any) -> str:
    """As `client_of`, from the scope; empty where there is none, as on a socket of this machine."""
    return str(scope["client"][0]) if scope.get("client") else ""
