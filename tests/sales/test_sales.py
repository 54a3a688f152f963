"""A sale is created with its stock, changed with its version, steered by actions that leave a trace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from shop.errors import IllegalMove, InvalidFields
from shop.sales.acting import act
from shop.sales.audit import list_audit
from shop.sales.create import change_sale, create_sale
from shop.sales.figures import figures
from shop.sales.line import (
    calls_after,
    copy_calls,
    next_block,
    note_copied,
    orders_after,
    whole_until,
)
from shop.sales.publication import read_publication
from shop.sales.reading import Sale, list_sales, live_sale_ids, read_sale
from shop.sales.rules import Action, Control, ItemDraft, SaleDraft, SaleFrozen, StaleVersion, UnknownSale
from shop.sales.turns import CallRow
from shop.stock.reconcile import reconcile
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Database
from shop.storage.tables import orders, sales
from tests.counter import ON_HAND, Counter, draft, lay_shelf

ITEMS = {"seat": (10, 2, 1000), "gift": (3, 1, 0)}


@pytest.fixture
def counter(db: Database) -> Counter:
    return Counter(db).open(ITEMS)


def create(db: Database, wanted: SaleDraft, floor: float = 0) -> Sale:
    return create_sale(db, "op", wanted, ticket_key_id="k1", min_turn_window_s=floor)


def future(db: Database, **changes: Any) -> SaleDraft:
    """A sale whose lobby opens tomorrow."""
    now = db.read(lambda tx: tx.now)
    times = {"lobby_opens_at": now + timedelta(days=1), "opens_at": now + timedelta(days=1, hours=1)}
    return draft(db, ITEMS, slug="later", closes_at=now + timedelta(days=2), **times, **changes)


def faults(refused: pytest.ExceptionInfo[InvalidFields]) -> set[str]:
    return {fault.field for fault in refused.value.faults}


def test_a_new_sale_takes_its_units_off_the_shelf_and_has_a_lane(counter: Counter) -> None:
    sale = counter.sale
    assert (sale.control, sale.version, sale.over_call_limit) == (Control.RUNNING, 1, 1.0)
    assert [(item.product_id, item.allotted, item.held, item.sold, item.price) for item in sale.items] == [
        ("seat", 10, 0, 0, 1000),
        ("gift", 3, 0, 0, 0),
    ]
    assert counter.on_hand("seat") == ON_HAND - 10
    assert read_sale(counter.db, "sale") == sale
    assert reconcile(counter.db) == []


def test_every_bad_field_of_a_sale_is_named_at_once_and_nothing_is_created(counter: Counter) -> None:
    now = counter.db.read(lambda tx: tx.now)
    wrong = SaleDraft(
        slug="No Slug",
        title=" ",
        mode="lottery",
        guests=True,
        lobby_opens_at=now,
        opens_at=now - timedelta(hours=1),
        closes_at=now - timedelta(hours=2),
        calls_per_minute=0,
        capacity=-1,
        turn_window_s=119,
        hold_s=0,
        pass_s=0,
        comeback_s=-1,
        over_call_limit=2.5,
        message_ko="가" * 501,
        items=(
            ItemDraft(product_id="seat", allotted=-1, limit_per_buyer=0, price=-5),
            ItemDraft(product_id="seat", allotted=1, limit_per_buyer=1),
            ItemDraft(product_id="nothing", allotted=1, limit_per_buyer=1),
        ),
    )
    with pytest.raises(InvalidFields) as refused:
        create(counter.db, wrong, floor=120)
    assert faults(refused) == {
        *("slug", "title", "mode", "guests", "lobby_opens_at", "closes_at", "calls_per_minute", "capacity"),
        *("turn_window_s", "hold_s", "pass_s", "comeback_s", "over_call_limit", "message.ko"),
        *(
            "items.0.allotted",
            "items.0.limit_per_buyer",
            "items.0.price",
            "items.1.product_id",
            "items.2.product_id",
        ),
    }
    assert len(list_sales(counter.db).items) == 1
    assert len(list_audit(counter.db)) == 1


def test_a_slug_that_is_taken_and_units_that_are_not_there_are_bad_fields(counter: Counter) -> None:
    with pytest.raises(InvalidFields) as refused:
        create(counter.db, draft(counter.db, ITEMS))
    assert faults(refused) == {"slug"}
    with pytest.raises(InvalidFields) as refused:
        create(counter.db, draft(counter.db, {"gift": (1, 1, 0), "seat": (ON_HAND, 1, 1)}, slug="big"))
    assert faults(refused) == {"items.1.allotted"}
    assert counter.on_hand("gift") == ON_HAND - 3
    assert reconcile(counter.db) == []


def test_a_change_asks_for_the_version_that_was_seen(counter: Counter) -> None:
    changed = change_sale(
        counter.db, "op", counter.sale.sale_id, 1, {"title": "다른 이름", "hold_s": 30}, min_turn_window_s=0
    )
    assert (changed.title, changed.hold_s, changed.version) == ("다른 이름", 30, 2)
    with pytest.raises(StaleVersion) as stale:
        change_sale(counter.db, "op", counter.sale.sale_id, 1, {"title": "x"}, min_turn_window_s=0)
    assert stale.value.current == 2
    same = change_sale(counter.db, "op", counter.sale.sale_id, 2, {"hold_s": 30}, min_turn_window_s=0)
    assert same.version == 2
    with pytest.raises(UnknownSale):
        change_sale(counter.db, "op", "nothing", 1, {}, min_turn_window_s=0)


def test_before_the_lobby_opens_everything_may_change_and_units_move_with_it(counter: Counter) -> None:
    sale = create(counter.db, future(counter.db))
    items = (
        ItemDraft(product_id="seat", allotted=25, limit_per_buyer=4, price=900),
        ItemDraft(product_id="desk", allotted=5, limit_per_buyer=1, price=100),
    )
    counter.db.run(lay_shelf, ["desk"], 0)
    before = read_publication(counter.db, sale.sale_id).stock
    changed = change_sale(
        counter.db, "op", sale.sale_id, 1, {"items": items, "slug": "new-name"}, min_turn_window_s=0
    )
    assert changed.slug == "new-name"
    assert [(item.product_id, item.allotted, item.price) for item in changed.items] == [
        ("seat", 25, 900),
        ("desk", 5, 100),
    ]
    assert counter.on_hand("gift") == ON_HAND - 3  # only the first sale's
    assert counter.on_hand("seat") == ON_HAND - 10 - 25
    assert read_publication(counter.db, sale.sale_id).stock.version > before.version
    assert reconcile(counter.db) == []


def test_once_the_lobby_is_open_what_buyers_were_told_stays(counter: Counter) -> None:
    sale = counter.sale
    other = (ItemDraft(product_id="seat", allotted=10, limit_per_buyer=9, price=1000),)
    changes = {"slug": "x", "items": other, "opens_at": sale.opens_at + timedelta(minutes=1), "capacity": 7}
    with pytest.raises(SaleFrozen) as frozen:
        change_sale(counter.db, "op", sale.sale_id, 1, changes, min_turn_window_s=0)
    assert set(frozen.value.fields) == {"slug", "items", "opens_at"}
    later = sale.closes_at + timedelta(hours=1)
    assert (
        change_sale(counter.db, "op", sale.sale_id, 1, {"closes_at": later}, min_turn_window_s=0).closes_at
        == later
    )


def test_a_sale_that_is_over_does_not_begin_again(counter: Counter) -> None:
    now = counter.db.read(lambda tx: tx.now)
    over = update(sales).values(closes_at=now - timedelta(minutes=1))
    counter.db.run(lambda tx: tx.execute(over) and None)
    later = {"closes_at": now + timedelta(hours=1)}
    with pytest.raises(SaleFrozen):
        change_sale(counter.db, "op", counter.sale.sale_id, 1, later, min_turn_window_s=0)


def test_opening_may_move_until_it_has_happened(counter: Counter) -> None:
    wanted = future(counter.db)
    sale = create(counter.db, wanted)
    in_lobby = {"lobby_opens_at": wanted.lobby_opens_at - timedelta(days=2)}
    sale = change_sale(counter.db, "op", sale.sale_id, 1, in_lobby, min_turn_window_s=0)
    moved = {"opens_at": sale.opens_at + timedelta(minutes=5)}
    assert change_sale(counter.db, "op", sale.sale_id, 2, moved, min_turn_window_s=0).version == 3
    opened = act(counter.db, "op", sale.sale_id, Action.OPEN)
    assert opened.opens_at <= counter.db.read(lambda tx: tx.now)
    with pytest.raises(IllegalMove):
        act(counter.db, "op", sale.sale_id, Action.OPEN)


def test_actions_change_the_control_the_version_and_leave_a_trace(counter: Counter) -> None:
    sale_id = counter.sale.sale_id
    steps = [
        (Action.PAUSE, Control.PAUSED),
        (Action.RESUME, Control.RUNNING),
        (Action.HALT, Control.HALTED),
        (Action.RESUME, Control.RUNNING),
        (Action.DRAIN, Control.DRAINING),
        (Action.CLOSE, Control.CLOSED),
    ]
    for version, (action, control) in enumerate(steps, 2):
        sale = act(counter.db, "op", sale_id, action)
        assert (sale.control, sale.version) == (control, version)
    assert sale.closed_at is not None
    trace = [
        (row.operator_id, row.action, row.detail.get("to")) for row in list_audit(counter.db, subject=sale_id)
    ]
    assert trace[:-1] == [("op", action, control) for action, control in reversed(steps)]
    assert trace[-1][1] == "create-sale"


def test_an_action_that_does_not_fit_names_the_control_and_changes_nothing(counter: Counter) -> None:
    sale_id = counter.sale.sale_id
    with pytest.raises(IllegalMove) as refused:
        act(counter.db, "op", sale_id, Action.RESUME)
    assert (refused.value.current, refused.value.wanted) == ("running", "resume")
    act(counter.db, "op", sale_id, Action.CANCEL)
    for action in set(Action) - {Action.ANNOUNCE}:
        with pytest.raises(IllegalMove):
            act(counter.db, "op", sale_id, action, {"calls_per_minute": 5, "capacity": 5})
    assert counter.stock() == (0, 0, 0)
    assert counter.on_hand() == ON_HAND
    with pytest.raises(UnknownSale):
        act(counter.db, "op", "nothing", Action.PAUSE)


def test_rate_capacity_and_message_are_set_and_bad_values_refused(counter: Counter) -> None:
    sale_id = counter.sale.sale_id
    assert act(counter.db, "op", sale_id, Action.SET_RATE, {"calls_per_minute": 42}).calls_per_minute == 42
    assert act(counter.db, "op", sale_id, Action.SET_CAPACITY, {"capacity": 7}).capacity == 7
    told = act(counter.db, "op", sale_id, Action.ANNOUNCE, {"message_ko": "곧", "message_en": "soon"})
    assert (told.message_ko, told.message_en) == ("곧", "soon")
    assert act(counter.db, "op", sale_id, Action.ANNOUNCE, {}).message_ko is None
    for action, field in ((Action.SET_RATE, "calls_per_minute"), (Action.SET_CAPACITY, "capacity")):
        for value in (0, -1, None, "5", True, 2.5, 10**9):
            with pytest.raises(InvalidFields) as refused:
                act(counter.db, "op", sale_id, action, {field: value})
            assert faults(refused) == {field}


def test_a_draft_is_nowhere_to_be_seen_until_it_is_published(counter: Counter) -> None:
    sale = create(counter.db, future(counter.db, draft=True))
    assert live_sale_ids(counter.db) == [counter.sale.sale_id]
    assert act(counter.db, "op", sale.sale_id, Action.PUBLISH).control is Control.RUNNING
    assert set(live_sale_ids(counter.db)) == {counter.sale.sale_id, sale.sale_id}


def test_an_ended_sale_is_looked_after_for_a_while(counter: Counter) -> None:
    act(counter.db, "op", counter.sale.sale_id, Action.CLOSE)
    assert live_sale_ids(counter.db) == [counter.sale.sale_id]
    now = counter.db.read(lambda tx: tx.now)
    long_ago = update(sales).values(closed_at=now - timedelta(hours=3))
    counter.db.run(lambda tx: tx.execute(long_ago) and None)
    assert live_sale_ids(counter.db) == []


@pytest.mark.parametrize("how", ["closed early", "closed by time", "cancelled"])
def test_an_ended_sale_is_looked_after_while_its_last_turn_pass_or_order_may_live(
    db: Database, how: str
) -> None:
    hour = 3600
    patient = {"turn_window_s": hour, "comeback_s": hour, "pass_s": hour, "hold_s": hour}
    sale_id = Counter(db).open(ITEMS, **patient).sale.sale_id
    if how != "closed by time":
        act(db, "op", sale_id, Action.CLOSE if how == "closed early" else Action.CANCEL)
    ended = sales.c.closes_at if how == "closed by time" else sales.c.closed_at

    def live_after(hours: int) -> bool:
        then = db.read(lambda tx: tx.now) - timedelta(hours=hours)
        db.run(lambda tx: tx.execute(update(sales).values({ended: then})) and None)
        return live_sale_ids(db) == [sale_id]

    assert live_after(8), "called with the last call, back after a miss, admitted, and holding a unit"
    assert not live_after(10)


def test_the_published_copy_has_the_fields_of_the_waiting_room(counter: Counter) -> None:
    counter.order(0, 2)
    counter.drain()
    copy = read_publication(counter.db, counter.sale.sale_id)
    assert list(copy.settings()) == [
        *("version", "slug", "title", "mode", "control", "lobby_opens_at_ms", "opens_at_ms", "closes_at_ms"),
        *(
            "calls_per_minute",
            "capacity",
            "turn_window_ms",
            "comeback_ms",
            "hold_ms",
            "pass_ms",
            "over_call_limit",
        ),
        *("message_ko", "message_en", "challenge"),
    ]
    assert copy.settings()["over_call_limit"] == 100
    assert copy.settings()["hold_ms"] == 600_000
    fields = copy.stock.fields()
    assert {name: fields[name] for name in fields if name != "version"} == {
        **{"allotted": 13, "held": 2, "sold": 0},
        **{"item:seat": "10:2:0:2", "item:gift": "3:0:0:1"},
    }
    counter.order(1, 1)
    counter.drain()
    assert read_publication(counter.db, counter.sale.sale_id).stock.version > copy.stock.version


def test_blocks_of_numbers_never_overlap(counter: Counter) -> None:
    blocks = [next_block(counter.db, counter.sale.sale_id, size) for size in (10_000, 1, 500)]
    assert blocks == [(1, 10_000), (10_001, 10_001), (10_002, 10_501)]
    with pytest.raises(UnknownSale):
        next_block(counter.db, "nothing", 1)


def test_calls_are_copied_once_and_counted_by_the_minute(counter: Counter) -> None:
    now = counter.db.read(lambda tx: tx.now)
    rows = [CallRow(f"store-{n}", "call", f"ticket{n}", now, number=n, turn=1) for n in range(5)]
    rows.append(CallRow("store-9", "claim", "ticket1", now, detail="x"))
    rows.append(CallRow("store-old", "call", "ticket0", now - timedelta(minutes=2)))
    copy_calls(counter.db, counter.sale.sale_id, rows)
    copy_calls(counter.db, counter.sale.sale_id, rows)
    copy_calls(counter.db, counter.sale.sale_id, [])
    counter.order(0)
    counter.order(1, 9)
    counter.drain()
    seen = figures(counter.db, counter.sale.sale_id, minutes=4)
    assert sum(calls for _, calls in seen.calls) == 6
    assert len(seen.calls) == 4
    assert seen.orders == {"reserved": 1, "rejected": 1}


def test_the_copied_log_is_read_again_in_its_order_and_says_until_when_it_is_whole(counter: Counter) -> None:
    db, sale_id = counter.db, counter.sale.sale_id
    assert whole_until(db, sale_id) is None
    now = from_millis(to_millis(db.read(lambda tx: tx.now)))
    rows = [CallRow(f"170000000{n}000-000000.store", "call", f"ticket{n}", now, n, 1, "x") for n in range(7)]
    copy_calls(db, sale_id, rows[::-1])
    note_copied(db, sale_id, now)
    note_copied(db, sale_id, now - timedelta(seconds=5))
    read, after = [], ""
    while chunk := calls_after(db, sale_id, after, 3):
        assert len(chunk) <= 3
        read += chunk
        after = chunk[-1].entry_id
    assert read == rows, "the note is no event"
    assert whole_until(db, sale_id) == now, "and never goes back"
    assert calls_after(db, "another", "", 3) == []


def test_orders_that_have_their_pass_are_read_with_what_they_mean_to_its_slot(counter: Counter) -> None:
    kept = [counter.order(0), counter.order(0)]
    counter.order(1, 9)
    counter.drain()
    standings = orders_after(counter.db, counter.sale.sale_id, "", 10)
    assert [one.order_id for one in standings] == sorted(kept)
    assert {one.jti for one in standings} == {"ticket1.1", "ticket2.1"}
    assert {one.standing for one in standings} == {"live"}
    assert len(orders_after(counter.db, counter.sale.sale_id, standings[0].order_id, 10)) == 1
    with counter.db.engine.begin() as connection:
        connection.execute(
            update(orders).values(state="paid").where(orders.c.order_id == standings[0].order_id)
        )
        connection.execute(
            update(orders).values(state="expired").where(orders.c.order_id == standings[1].order_id)
        )
    standings = orders_after(counter.db, counter.sale.sale_id, "", 10)
    assert [one.standing for one in standings] == ["paid", "ended"]


def test_sales_are_listed_newest_first(counter: Counter) -> None:
    for number in range(3):
        create(counter.db, draft(counter.db, {"seat": (1, 1, 1)}, slug=f"sale-{number}"))
    first = list_sales(counter.db, limit=3)
    second = list_sales(counter.db, limit=3, cursor=first.next_cursor)
    assert len(first.items) == 3
    assert second.next_cursor is None
    assert {sale.slug for sale in (*first.items, *second.items)} == {"sale", "sale-0", "sale-1", "sale-2"}
