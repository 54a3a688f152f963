"""A place in words: the text that a crowd gets is the body's JSON, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wording import body_of, waiting_text
from shop.sales.reading import Sale
from shop.sales.rules import Control
from waiting_room.place import Around, scene_of
from waiting_room.polling import PollLimits
from waiting_room.window import Phase

NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)
SALE: dict[str, Any] = {
    **dict.fromkeys(Sale.__dataclass_fields__, 0),
    **{"sale_id": "s1", "slug": "may-drop", "mode": "fifo", "draw": None, "items": ()},
    **{"opens_at": NOW, "control": Control.RUNNING, "message_ko": None, "message_en": None},
}
AROUND: dict[str, Any] = {
    **dict.fromkeys(Around.__struct_fields__, 0),
    **{"phase": Phase.OPEN, "store_id": "store", "limit": "rate", "draw": "", "opens_at_ms": 500},
    **{"calls_per_minute": 600, "calls_last_minute": 600, "calling_ms": 60_000, "capacity": 10**6},
}
messages = st.one_of(st.none(), st.text(max_size=20))
moments = st.one_of(st.just(0), st.integers(1, 2**41))


@st.composite
def arounds(draw: st.DrawFn) -> Around:
    """A sale in any phase in which people stand in line, moving or not."""
    changes = {
        "phase": draw(st.sampled_from([Phase.LOBBY, Phase.OPEN, Phase.PAUSED, Phase.HALTED, Phase.ALL_HELD])),
        "limit": draw(st.sampled_from(["none", "rate", "capacity", "stock", "backlog", "provider_down"])),
        "now_ms": draw(st.integers(600_000, 2**41)),
        "calling_ms": draw(st.sampled_from([0, 60_000])),
        "slots": draw(st.sampled_from([0, 10**7])),
        "allotted": draw(st.integers(0, 1_000)),
        "waiting": draw(st.integers(1, 10**6)),
        **dict.fromkeys(["gate_since_ms", "limit_since_ms", "rate_lowered_ms"], draw(moments)),
    }
    return Around(**(AROUND | changes))


@example(Around(**AROUND), 1, 0, 1_777_629_600_000_000, "\u201c여기\u201d\n", None)
@given(
    arounds(),
    st.integers(1, 2**53),
    st.integers(0, 10**6),
    st.integers(10**15, 4 * 10**15),
    messages,
    messages,
)
def test_the_text_is_the_body_in_json(
    around: Around, number: int, ahead: int, now_us: int, ko: str | None, en: str | None
) -> None:
    sale = Sale(**(SALE | {"message_ko": ko, "message_en": en}))
    place = scene_of(around).place(number, ahead, around.now_ms, PollLimits(), 0.5)
    assert place.position == ahead + 1
    body = body_of(sale, "AbCdEfGhIjKlMn", "v1.k1.payload.mac", place, now_us)
    text = waiting_text(sale, "AbCdEfGhIjKlMn", "v1.k1.payload.mac", place, now_us)
    assert text.encode() == msgspec.json.encode(body)
