"""What is signed for a crowd is HMAC-SHA256 as anybody computes it."""

from __future__ import annotations

import hmac

from hypothesis import example, given
from hypothesis import strategies as st

from waiting_room.macs import mac


@example(b"\x0b" * 20, b"Hi There")  # RFC 4231, 4.2
@example(b"k" * 64, b"")
@example(b"k" * 65, b"a key that is longer than a block")
@given(st.binary(min_size=1, max_size=200), st.binary(max_size=500))
def test_a_mac_is_the_standard_librarys(key: bytes, content: bytes) -> None:
    ours = mac(key, content)
    assert ours == hmac.digest(key, content, "sha256")
    assert mac(key, content) == ours, "what is prepared for a key is not used up"
