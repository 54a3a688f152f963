"""Which addresses count as one network, and that nothing of an address is left."""

from __future__ import annotations

import pytest

from firstcome.keyring import KeySet
from gateway.networks import DAY_S, Networks, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("9.9.9.9", "9.9.9.0/24"),
        ("9.9.9.200", "9.9.9.0/24"),
        ("2620:fe:0:12ff::9", "2620:fe:0:1200::/56"),
        ("2620:fe:0:1200:ffff::1", "2620:fe:0:1200::/56"),
        ("2620:fe:0:1300::1", "2620:fe:0:1300::/56"),
        ("::ffff:9.9.9.9", "9.9.9.0/24"),
        *(
            (local, "")
            for local in ("127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fe80::1%eth0", "fd00::1")
        ),
        *((unreadable, "") for unreadable in ("", "unix:", "9.9.9", "9.9.9.9, 8.8.8.8", "é")),
    ],
)
def test_a_network_is_what_one_customer_of_a_provider_has(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_network_is_known_for_a_day_by_a_keyed_hash_that_shows_nothing_of_it() -> None:
    one = Networks(KeySet("k1", {"k1": b"1" * 32}))
    other = Networks(KeySet("k2", {"k1": b"1" * 32, "k2": b"2" * 32}))
    tag = one.tag("9.9.9.9", 5)
    assert len(tag) == 12
    assert "9.9.9" not in tag
    assert tag == one.tag("9.9.9.77", DAY_S - 1)
    assert tag != one.tag("9.9.8.9", 5)
    assert tag != one.tag("9.9.9.9", DAY_S)
    assert tag != other.tag("9.9.9.9", 5)
    assert one.tag("127.0.0.1", 5) == ""
