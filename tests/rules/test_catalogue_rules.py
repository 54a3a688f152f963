"""Lists of products in pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.catalogue.rules import SORTS, Product, page_of
from shop.errors import InvalidFields

START = datetime(2026, 1, 1, tzinfo=UTC)
products = st.lists(
    st.builds(
        Product,
        product_id=st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True),
        title=st.sampled_from(["Cap", "cap", "모자", "Poster", "123"]),
        description=st.just(""),
        price=st.integers(0, 5),
        currency=st.just("KRW"),
        image=st.none(),
        on_hand=st.just(1),
        created_at=st.integers(0, 5).map(lambda days: START + timedelta(days=days)),
    ),
    max_size=12,
    unique_by=lambda product: product.product_id,
)


@given(products, st.sampled_from(sorted(SORTS)), st.integers(1, 5))
def test_pages_put_together_are_the_whole_list_in_order(shelf: list[Product], sort: str, limit: int) -> None:
    seen: list[Product] = []
    cursor: str | None = None
    for _ in range(len(shelf) + 1):
        page = page_of(shelf, sort=sort, cursor=cursor, limit=limit)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert cursor is None
    assert seen == sorted(shelf, key=SORTS[sort])


@pytest.mark.parametrize("cursor", ["", "x", "!", "bm9uc2Vuc2U", "WyJwcmljZSIsImEiLCJiIl0", "ÿ"])
def test_a_cursor_of_another_list_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        page_of([], sort="price", cursor=cursor)
    assert refused.value.faults[0].field == "cursor"


def test_a_cursor_belongs_to_its_sort() -> None:
    shelf = [
        Product(str(number), "Cap", "", 1, "KRW", None, 1, START + timedelta(days=number))
        for number in range(3)
    ]
    cursor = page_of(shelf, sort="price", limit=1).next_cursor
    for sort in ("-price", "newest", "title"):
        with pytest.raises(InvalidFields):
            page_of(shelf, sort=sort, cursor=cursor)


def test_an_unknown_sort_is_refused_naming_those_that_there_are() -> None:
    with pytest.raises(InvalidFields) as refused:
        page_of([], sort="password")
    assert "newest, title, price, -price" in refused.value.faults[0].message
