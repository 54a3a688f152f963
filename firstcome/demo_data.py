"""What a demo is filled with: four products, fifty buyers, two operators, an open sale and a draw whose lobby is open. The names are
stable.

Every start makes sure that all of it is there. Knows the shop's use cases and nothing of servers and processes.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from firstcome import wiring
from firstcome.settings import Settings
from gateway.draws import Draws
from gateway.sessions import Sessions
from shop.accounts.kit import AccountKit
from shop.accounts.operators import create_operator
from shop.accounts.passwords import Hasher
from shop.accounts.rules import Kind, OperatorExists
from shop.accounts.sessions import SignedIn
from shop.accounts.signup import create_verified_account
from shop.sales.create import create_sale
from shop.sales.reading import Sale, sale_by_slug
from shop.sales.rules import DRAW, Control, ItemDraft, SaleDraft, UnknownSale
from shop.storage.database import Database, Tx
from shop.storage.tables import operators, products, sales, sessions

SLUG, DRAW_SLUG = "demo", "draw"
# A draw is open to its lobby for so long; one with less than half a minute left is over for whoever comes.
LOBBY_LASTS = timedelta(minutes=8)
TOO_SHORT = timedelta(seconds=30)
BUYERS = 50
BUYER_PASSWORD = "demo-buyer-pass"
OPERATOR_PASSWORD = "demo-operator-pass"
OPERATORS = {"operator@example.test": "operator", "viewer@example.test": "viewer"}
OPERATOR_NAMES = {"operator": "서연 Operator", "viewer": "민준 Viewer"}
BUYER_NAMES = (
    "김하늘",
    "Alex Morgan",
    "이도윤",
    "Grace Kim",
    "박서준",
    "Noah Bell",
    "최유나",
    "Maya Lindt",
    "정지우",
    "Sam Ochoa",
)
LOCALES = ("en", "ko")

# Hashing a password keeps one processor busy for some 30 ms.
HASHING_THREADS = 4
TOKEN_LIFE_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Ware:
    """A product of the demo. `shelf` units are on hand at every start, `allotted` of them go into the sale."""

    product_id: str
    title: str
    description: str
    price: int
    image: str
    shelf: int
    allotted: int
    limit_per_buyer: int


WARES = (
    Ware(
        "summer-night-lp",
        "여름밤 LP · Summer Night, live in Seoul",
        "한강변에서 하룻밤에 녹음한 재즈 라이브, 180 g 투명 바이닐, 번호 인쇄. — "
        "One night of jazz by the Han river, on numbered clear 180 g vinyl.",
        *(42_000, "record.svg", 20_000, 180, 2),
    ),
    Ware(
        "ujeon-teapot",
        "우전 차호 세트 · Teapot with first-flush tea",
        "하동에서 곡우 전에 딴 우전 40 g과 분청 차호. — "
        "Forty grams of Hadong green tea picked before the spring rain, with a buncheong teapot.",
        *(68_000, "teapot.svg", 5_000, 60, 2),
    ),
    Ware(
        "palace-concert",
        "고궁 음악회 · Palace concert at dusk",
        "해 질 녘 석조전 앞뜰, 가야금과 현악 사중주. 자유석 1매. — "
        "Gayageum and string quartet in the palace yard at dusk. One seat, first come.",
        *(33_000, "ticket.svg", 20_000, 240, 2),
    ),
    Ware(
        "moon-jar",
        "달항아리 · Moon jar, 21 cm",
        "이천에서 위아래를 따로 빚어 이어 붙인 백자. 같은 것이 둘 없습니다. — "
        "White porcelain from Icheon, thrown in two halves and joined. No two are alike.",
        *(148_000, "moonjar.svg", 500, 12, 1),
    ),
)


def prepare(settings: Settings) -> None:
    """Make sure of products, people, an open `demo` sale with stock and a `draw` whose lobby is open. Raises the shop's Unavailable."""
    db, kit = wiring.database(settings), wiring.account_kit(settings)
    try:
        _people(db, kit)
        db.run(_fill_shelves)
        if not db.run(_make_way, SLUG, _is_open):
            _create(db, settings, _open_sale)
        if not db.run(_make_way, DRAW_SLUG, _is_in_lobby):
            _create(db, settings, _draw)
    finally:
        db.dispose()


def buyer_email(number: int) -> str:
    """The address of a demo buyer, 1 to BUYERS."""
    return f"buyer{number}@example.test"


def tokens(settings: Settings, count: int) -> Iterator[str]:
    """`count` JSON lines `{email, account_id, access_token}`: the demo's buyers, then more of the same kind."""
    db = wiring.database(settings)
    # Nobody signs in to these accounts by password, so theirs may be hashed in no time.
    kit = dataclasses.replace(wiring.account_kit(settings), hasher=Hasher(memory_kib=8, time_cost=1))
    emails = [buyer_email(number) for number in range(1, min(count, BUYERS) + 1)]
    emails += [f"crowd{number}@example.test" for number in range(1, count - len(emails) + 1)]

    def account(email: str) -> str:
        return create_verified_account(db, kit, email, secrets.token_urlsafe(12), email.partition("@")[0])

    try:
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            account_ids = list(pool.map(account, emails))
        signed_in = db.run(_sign_in, account_ids)
    finally:
        db.dispose()
    signer = Sessions(settings.keyring.derive("session"), settings.keyring.derive("csrf"))
    for email, one in zip(emails, signed_in, strict=True):
        token = signer.issue(one, TOKEN_LIFE_S)
        yield json.dumps({"email": email, "account_id": one.subject_id, "access_token": token})


def _sign_in(tx: Tx, account_ids: Sequence[str]) -> list[SignedIn]:
    """Sessions without a refresh token, one for each account."""
    until = tx.now + timedelta(seconds=TOKEN_LIFE_S)
    signed_in = [
        SignedIn(account_id, Kind.BUYER, "", True, secrets.token_urlsafe(12), "", until)
        for account_id in account_ids
    ]
    rows = [
        {
            "session_id": one.session_id,
            "subject_id": one.subject_id,
            "subject_kind": one.kind,
            "created_at": tx.now,
            "expires_at": until,
        }
        for one in signed_in
    ]
    tx.insert(sessions, rows)
    return signed_in


def _people(db: Database, kit: AccountKit) -> None:
    def buyer(number: int) -> None:
        name = BUYER_NAMES[number % len(BUYER_NAMES)]
        locale = LOCALES[(number + 1) % len(LOCALES)]
        create_verified_account(db, kit, buyer_email(number), BUYER_PASSWORD, name, locale)

    def operator(email: str, role: str) -> None:
        try:
            create_operator(db, kit, email, OPERATOR_PASSWORD, OPERATOR_NAMES[role], role)
        except OperatorExists:
            return  # from an earlier start

    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        list(pool.map(buyer, range(1, BUYERS + 1)))
        list(pool.map(operator, OPERATORS.keys(), OPERATORS.values()))


def _fill_shelves(tx: Tx) -> None:
    rows = [
        {
            "product_id": ware.product_id,
            "title": ware.title,
            "description": ware.description,
            "price": ware.price,
            "currency": "KRW",
            "image": ware.image,
            "on_hand": ware.shelf,
            "created_at": tx.now,
        }
        for ware in WARES
    ]
    tx.insert_missing(products, rows)
    for ware in sorted(WARES, key=lambda ware: ware.product_id):
        short = (products.c.product_id == ware.product_id) & (products.c.on_hand < ware.shelf)
        tx.execute(update(products).where(short).values(on_hand=ware.shelf))


def _make_way(tx: Tx, wanted: str, is_good: Callable[[Sale, datetime], bool]) -> bool:
    """Whether the sale of this slug is good for a demo; one that is not gets another slug."""
    try:
        sale = sale_by_slug(tx, wanted)
    except UnknownSale:
        return False
    if is_good(sale, tx.now):
        return True
    slug = _free_slug(tx, f"{wanted}-{tx.now:%Y-%m-%d}")
    tx.execute(
        update(sales).where(sales.c.sale_id == sale.sale_id).values(slug=slug, version=sales.c.version + 1)
    )
    return False


def _is_open(sale: Sale, now: datetime) -> bool:
    free = any(item.held + item.sold < item.allotted for item in sale.items)
    return sale.control is Control.RUNNING and sale.opens_at <= now < sale.closes_at and free


def _is_in_lobby(sale: Sale, now: datetime) -> bool:
    lobby = sale.lobby_opens_at <= now < sale.opens_at - TOO_SHORT
    return sale.mode == DRAW and sale.control is Control.RUNNING and lobby


def _free_slug(tx: Tx, wanted: str) -> str:
    taken: Sequence[str] = tx.scalars(
        select(sales.c.slug).where(sales.c.slug.startswith(wanted, autoescape=True))
    )
    number, slug = 1, wanted
    while slug in taken:
        number += 1
        slug = f"{wanted}-{number}"
    return slug


def _create(db: Database, settings: Settings, draft_at: Callable[[datetime], SaleDraft]) -> None:
    def people_and_time(tx: Tx) -> tuple[str, datetime]:
        operator_id: str = tx.scalar(
            select(operators.c.operator_id)
            .where(operators.c.role == "operator")
            .order_by(operators.c.created_at)
        )
        return operator_id, tx.now

    operator_id, now = db.read(people_and_time)
    create_sale(
        db,
        operator_id,
        draft_at(now),
        ticket_key_id=settings.keyring.active,
        min_turn_window_s=settings.turn_floor_s,
        make_draw=Draws(wiring.vault(settings)).make,
    )


def _open_sale(now: datetime) -> SaleDraft:
    return SaleDraft(
        slug=SLUG,
        title="봄 장날 · Spring market day",
        lobby_opens_at=now - timedelta(minutes=10),
        opens_at=now - timedelta(seconds=1),
        closes_at=now + timedelta(days=30),
        items=tuple(
            ItemDraft(
                product_id=ware.product_id, allotted=ware.allotted, limit_per_buyer=ware.limit_per_buyer
            )
            for ware in WARES
        ),
        calls_per_minute=600,
        capacity=200,
    )


def _draw(now: datetime) -> SaleDraft:
    return SaleDraft(
        slug=DRAW_SLUG,
        title="달항아리 추첨 · Moon jar draw",
        mode=DRAW,
        lobby_opens_at=now - timedelta(seconds=1),
        opens_at=now + LOBBY_LASTS,
        closes_at=now + timedelta(days=7),
        items=(ItemDraft(product_id="moon-jar", allotted=6, limit_per_buyer=1),),
        calls_per_minute=600,
        capacity=50,
    )
