"""My data, my addresses and my cart, on both databases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from shop.accounts.addresses import add_address, change_address, delete_address, list_addresses
from shop.accounts.kit import AccountKit
from shop.accounts.me import OPEN_ORDERS, change_me, erase_me, read_me
from shop.accounts.rules import (
    BadCredentials,
    OrdersOpen,
    SessionEnded,
    TooManyAddresses,
    UnknownAccount,
    UnknownAddress,
)
from shop.accounts.sessions import refresh, sign_in
from shop.cart.cart import put_item, read_cart, remove_item
from shop.cart.rules import MOST_PRODUCTS, CartFull
from shop.catalogue.products import create_product, read_catalogue, read_product
from shop.catalogue.rules import ProductExists, UnknownProduct
from shop.errors import InvalidFields
from shop.storage.database import Database
from shop.storage.tables import account_codes, orders, sessions
from shop.vault import place
from tests.accounts.people import ADDRESS, EMAIL, NAME, PASSWORD, PHONE, PostOffice, register, registered


@pytest.fixture
def me(db: Database, kit: AccountKit, post: PostOffice) -> str:
    """A verified account."""
    return registered(db, kit, post)


def put_order(db: Database, kit: AccountKit, account_id: str, state: str) -> None:
    """An order in this state, as the drain would have written it."""
    order_id = f"order-{state}"
    row: dict[str, Any] = {
        "order_id": order_id,
        "sale_id": "sale0000001",
        "account_id": account_id,
        "state": state,
        "pass_jti": "t.1",
        "total": 1000,
        "currency": "KRW",
        "address_sealed": kit.vault.seal("세종대로", place("orders.address_sealed", order_id)),
        "accepted_no": 1,
        "hold_extended": False,
    }

    def put(tx: Any) -> None:
        tx.insert(orders, [row | {"accepted_at": tx.now, "decided_at": tx.now, "updated_at": tx.now}])

    db.run(put)


def product(db: Database, product_id: str, title: str = "Poster") -> str:
    """A product to put into a cart."""
    return create_product(
        db, product_id=product_id, title=title, description="", price=1000, currency="KRW", on_hand=5
    )


def test_i_read_what_i_entered_and_change_it(db: Database, kit: AccountKit, me: str) -> None:
    mine = read_me(db, kit, me)
    assert (mine.email, mine.name, mine.phone, mine.locale, mine.verified) == (EMAIL, NAME, PHONE, "ko", True)

    change_me(db, kit, me, name="Minji K", phone="", locale="en")
    change_me(db, kit, me)
    changed = read_me(db, kit, me)
    assert (changed.email, changed.name, changed.phone, changed.locale) == (EMAIL, "Minji K", "", "en")

    with pytest.raises(InvalidFields) as refused:
        change_me(db, kit, me, name="", phone="call me", locale="xx")
    assert [fault.field for fault in refused.value.faults] == ["name", "phone", "locale"]
    with pytest.raises(UnknownAccount):
        change_me(db, kit, "nobody", name="X")


def test_an_address_book_is_kept_and_belongs_to_its_owner(
    db: Database, kit: AccountKit, me: str, post: PostOffice
) -> None:
    other = registered(db, kit, post, "other@mail.example.com")
    (first,) = list_addresses(db, kit, me)
    assert first.address == ADDRESS

    moved = msgspec.structs.replace(ADDRESS, line1="테헤란로 1")
    second = add_address(db, kit, me, ADDRESS)
    change_address(db, kit, me, second, moved)
    assert [saved.address for saved in list_addresses(db, kit, me)] == [ADDRESS, moved]

    for stranger in (other, "nobody"):
        with pytest.raises(UnknownAddress):
            change_address(db, kit, stranger, second, ADDRESS)
        with pytest.raises(UnknownAddress):
            delete_address(db, stranger, second)
    delete_address(db, me, second)
    with pytest.raises(UnknownAddress):
        delete_address(db, me, second)


def test_an_address_book_has_an_end(db: Database, kit: AccountKit, me: str) -> None:
    for _ in range(19):
        add_address(db, kit, me, ADDRESS)
    with pytest.raises(TooManyAddresses):
        add_address(db, kit, me, ADDRESS)


def test_erasing_takes_everything_personal_and_the_right_to_sign_in(
    db: Database, kit: AccountKit, me: str, post: PostOffice
) -> None:
    session = sign_in(db, kit, EMAIL, PASSWORD)
    put_item(db, me, product(db, "poster"), 2)
    put_order(db, kit, me, "paid")

    erase_me(db, me)
    erase_me(db, me)

    for gone in (
        lambda: read_me(db, kit, me),
        lambda: change_me(db, kit, me, name="Back"),
        lambda: add_address(db, kit, me, ADDRESS),
    ):
        with pytest.raises(UnknownAccount):
            gone()
    with pytest.raises(BadCredentials):
        sign_in(db, kit, EMAIL, PASSWORD)
    with pytest.raises(SessionEnded):
        refresh(db, kit, session.refresh_token)
    assert read_cart(db, me) == []
    assert list_addresses(db, kit, me) == []
    assert db.read(lambda tx: tx.scalars(select(orders.c.address_sealed))) == [None]
    assert db.read(lambda tx: tx.scalar(select(func.count()).select_from(account_codes))) == 0
    assert None not in db.read(lambda tx: tx.scalars(select(sessions.c.revoked_at)))
    assert registered(db, kit, post) != me, "the address is free for a new account"


@pytest.mark.parametrize("state", OPEN_ORDERS)
def test_an_account_is_not_erased_while_an_order_is_open(
    db: Database, kit: AccountKit, me: str, state: str
) -> None:
    put_order(db, kit, me, state)
    with pytest.raises(OrdersOpen):
        erase_me(db, me)
    assert read_me(db, kit, me).name == NAME


def test_a_letter_that_has_not_left_when_the_account_is_erased_never_leaves(
    db: Database, kit: AccountKit, post: PostOffice
) -> None:
    erase_me(db, register(db, kit))
    assert post.mails() == []


def test_the_cart_holds_what_was_put_last(db: Database, me: str) -> None:
    product(db, "poster", "Poster")
    product(db, "cap", "Cap")
    put_item(db, me, "poster", 1)
    put_item(db, me, "cap", 99)
    put_item(db, me, "poster", 3)
    assert [(item.title, item.quantity) for item in read_cart(db, me)] == [("Cap", 99), ("Poster", 3)]
    remove_item(db, me, "cap")
    remove_item(db, me, "cap")
    assert [item.product_id for item in read_cart(db, me)] == ["poster"]
    assert read_cart(db, "somebody else") == []


@pytest.mark.parametrize("quantity", [0, -1, 100])
def test_a_cart_takes_one_to_ninety_nine(db: Database, me: str, quantity: int) -> None:
    product(db, "poster")
    with pytest.raises(InvalidFields):
        put_item(db, me, "poster", quantity)


def test_a_cart_takes_known_products_only_and_has_an_end(db: Database, me: str) -> None:
    with pytest.raises(UnknownProduct):
        put_item(db, me, "nothing", 1)
    for number in range(MOST_PRODUCTS):
        put_item(db, me, product(db, f"p{number}"), 1)
    product(db, "one-more")
    with pytest.raises(CartFull):
        put_item(db, me, "one-more", 1)


def test_products_are_created_once_and_read_again(db: Database) -> None:
    product(db, "poster")
    with pytest.raises(ProductExists):
        product(db, "poster")
    with pytest.raises(UnknownProduct):
        read_product(db, "cap")
    found = read_product(db, "poster")
    assert (found.title, found.price, found.currency, found.on_hand) == ("Poster", 1000, "KRW", 5)
    catalogue = read_catalogue(db)
    assert catalogue.products == (found,)
    assert catalogue.sales == ()


def test_every_bad_field_of_a_product_is_named(db: Database) -> None:
    with pytest.raises(InvalidFields) as refused:
        create_product(
            db,
            product_id="a b",
            title=" ",
            description="x" * 10_001,
            price=-1,
            currency="krw",
            on_hand=-1,
            image="../secret",
        )
    assert len(refused.value.faults) == 7
