"""L13: personal fields are encrypted at rest with keys that rotate, found by keyed hash, shown to their owner, erasable; no
secret, token or personal datum is in a URL, a log line or an error."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from sqlalchemy import select, text, update

from shop.accounts.addresses import list_addresses
from shop.accounts.kit import AccountKit
from shop.accounts.me import erase_me, read_me
from shop.accounts.operators import create_operator, list_operators
from shop.accounts.reset import confirm_reset, request_reset
from shop.accounts.rotation import reseal
from shop.accounts.rules import Address
from shop.accounts.sessions import SignedIn, refresh, sign_in
from shop.accounts.signup import sign_up, verify
from shop.catalogue.products import create_product
from shop.errors import InvalidFields, ShopError
from shop.mail.effects import EffectFailed
from shop.mail.letters import Mail
from shop.mail.outbox import KIND, deliver_due, mail_effect
from shop.storage.database import Database
from shop.storage.tables import accounts, metadata
from shop.vault import Unreadable
from tests.accounts.people import NEW_KEY, OLD_KEY, PostOffice, everything_stored, kit_of, wrong

TAG = secrets.token_hex(6)
EMAIL = f"minji-{TAG}@mail.example.com"
PASSWORD = f"seagulls {TAG}"
NAME = f"김민지 {TAG}"
PHONE = f"+82 10 {int(TAG[:7], 16):09}"
STREET = f"세종대로 {TAG}"
OPERATOR = f"ops-{TAG}@mail.example.com"
ADDRESS = Address(recipient=NAME, line1=STREET, city="서울", postcode="04524", country="KR", phone=PHONE)
PERSONAL = (EMAIL, PASSWORD, NAME, PHONE, STREET, OPERATOR)


@pytest.fixture
def kit() -> AccountKit:
    """An installation with one key."""
    return kit_of()


@pytest.fixture
def post(db: Database, kit: AccountKit, tmp_path: Path) -> PostOffice:
    """Its post office."""
    return PostOffice(db, kit, tmp_path / "mail")


@pytest.fixture
def buyer(db: Database, kit: AccountKit, post: PostOffice) -> str:
    """A verified account with every personal field filled in, and an operator beside it."""
    account_id = sign_up(db, kit, EMAIL, PASSWORD, NAME, PHONE, ADDRESS, "ko")
    verify(db, kit, EMAIL, post.code())
    create_operator(db, kit, OPERATOR, PASSWORD, NAME, "viewer")
    return account_id


def closed(heap: bytes, *more: str) -> bool:
    """Whether none of the personal values stands in these bytes, in any of the forms that databases and JSON use."""
    forms = (str.encode, lambda value: ascii(value)[1:-1].encode(), lambda value: value.encode("utf-16-le"))
    return not any(form(value) in heap for value in (*PERSONAL, *more) for form in forms)


def files_of(db: Database, request: pytest.FixtureRequest) -> bytes:
    """The bytes of the database's own files, logs of the storage engine included; of a foreign server what it shows us."""
    url = db.engine.url
    if request.node.callspec.params["database_url"] == "given":
        return everything_stored(db)
    if url.get_backend_name() == "sqlite":
        paths = list(Path(str(url.database)).parent.glob("firstcome.sqlite*"))
    else:
        paths = [path for path in request.getfixturevalue("mariadb_server").data.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in paths)


def test_no_row_holds_a_personal_field_in_plain_text(
    db: Database, kit: AccountKit, buyer: str, post: PostOffice
) -> None:
    request_reset(db, kit, EMAIL)
    waiting = everything_stored(db)
    code = post.code()
    session = sign_in(db, kit, EMAIL, PASSWORD)
    assert buyer.encode() in waiting
    assert closed(waiting, code)
    assert closed(everything_stored(db), code, session.refresh_token, session.refresh_token.split(".")[1])
    assert EMAIL.split("@")[0].encode() not in waiting
    hashes = db.read(lambda tx: tx.scalars(select(accounts.c.password_hash)))
    assert all(stored.startswith("$argon2id$") for stored in hashes)


def test_no_file_of_the_database_holds_a_personal_field_in_plain_text(
    db: Database, buyer: str, request: pytest.FixtureRequest
) -> None:
    public = f"포스터 {TAG}"
    create_product(db, title=public, description="", price=1, currency="KRW", on_hand=1)
    heap = files_of(db, request)
    assert public.encode() in heap, "the search must find what is there"
    assert closed(heap)


def test_a_sealed_field_opens_in_its_own_row_and_column_only(
    db: Database, kit: AccountKit, buyer: str, post: PostOffice
) -> None:
    other = sign_up(db, kit, f"other-{EMAIL}", PASSWORD, "Other")
    sealed = db.read(
        lambda tx: tx.scalar(select(accounts.c.name_sealed).where(accounts.c.account_id == buyer))
    )
    for column in ("name_sealed", "email_sealed"):
        for account_id in {other, buyer if column == "email_sealed" else other}:
            moved = update(accounts).where(accounts.c.account_id == account_id).values({column: sealed})
            db.run(lambda tx, moved=moved: tx.execute(moved))  # type: ignore[misc]
            with pytest.raises(Unreadable):
                read_me(db, kit, account_id)


def test_keys_rotate_while_everybody_stays_known_and_the_old_key_can_be_dropped(
    db: Database, kit: AccountKit, buyer: str, post: PostOffice
) -> None:
    session = sign_in(db, kit, EMAIL, PASSWORD)
    request_reset(db, kit, EMAIL)

    both = kit_of("k2", {"k2": NEW_KEY, "k1": OLD_KEY})
    assert read_me(db, both, buyer).name == NAME
    assert sign_in(db, both, EMAIL, PASSWORD).subject_id == buyer
    assert sign_up(db, both, EMAIL, PASSWORD, NAME) != buyer
    count = db.read(lambda tx: len(tx.all(select(accounts))))
    assert count == 1, "the known address was not known under the new key"

    assert reseal(db, both.vault, both.lookup) >= 3
    assert reseal(db, both.vault, both.lookup) == 0

    after = kit_of("k2", {"k2": NEW_KEY})
    mine = read_me(db, after, buyer)
    assert (mine.email, mine.name, mine.phone) == (EMAIL, NAME, PHONE)
    assert [saved.address for saved in list_addresses(db, after, buyer)] == [ADDRESS]
    assert [operator.email for operator in list_operators(db, after)] == [OPERATOR]
    assert sign_in(db, after, EMAIL, PASSWORD).subject_id == buyer
    assert refresh(db, after, session.refresh_token).subject_id == buyer
    assert PostOffice(db, after, post.folder).deliver() == 2, "one letter is from before the rotation"
    with pytest.raises(Unreadable):
        read_me(db, kit, buyer)


def test_personal_data_is_shown_to_its_owner_only(
    db: Database, kit: AccountKit, buyer: str, post: PostOffice
) -> None:
    other = sign_up(db, kit, f"other-{EMAIL}", PASSWORD, "Other")
    assert read_me(db, kit, other).name == "Other"
    assert list_addresses(db, kit, other) == []
    assert [mail["to"] for mail in post.mails()] == [f"other-{EMAIL}", EMAIL]
    for mail in post.mails():
        assert NAME not in mail["text"], "a stranger's form must not be able to send words to anybody"


def test_after_erasing_even_the_keys_open_nothing(
    db: Database, kit: AccountKit, buyer: str, post: PostOffice
) -> None:
    request_reset(db, kit, EMAIL)
    sign_in(db, kit, EMAIL, PASSWORD)
    erase_me(db, buyer)
    post.deliver()
    for table in metadata.sorted_tables:
        if table.name == "operators":
            continue
        for row in db.read(lambda tx, table=table: tx.all(table.select())):  # type: ignore[misc]
            kept = {
                name: value for name, value in row._mapping.items() if name.endswith(("_sealed", "_lookup"))
            }
            assert not any(kept.values()), (table.name, kept)
            assert row._mapping.get("password_hash") is None


def test_codes_travel_in_the_fragment_of_a_link_only(
    db: Database, kit: AccountKit, buyer: str, post: PostOffice
) -> None:
    request_reset(db, kit, EMAIL)
    for mail in post.mails():
        (link,) = mail["links"]
        parts = urlsplit(link)
        assert parts.fragment.startswith(f"email={EMAIL}&code=")
        assert parts.path in ("/verify", "/reset")
        assert not parts.query
        assert not any(char.isdigit() for char in mail["subject"])


def test_no_log_line_and_no_error_tells_anything_personal(
    db: Database,
    kit: AccountKit,
    buyer: str,
    post: PostOffice,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    session = sign_in(db, kit, EMAIL, PASSWORD)
    request_reset(db, kit, EMAIL)
    code = post.code()
    request_other = sign_up(db, kit, f"x{EMAIL}", PASSWORD, NAME, PHONE, ADDRESS)
    refusals: list[Callable[[], Any]] = [
        lambda: sign_in(db, kit, EMAIL, wrong(code) + PASSWORD),
        lambda: sign_in(db, kit, f"nobody{EMAIL}", PASSWORD),
        lambda: sign_in(db, kit, f"x{EMAIL}", PASSWORD),
        lambda: verify(db, kit, EMAIL, wrong(code)),
        lambda: confirm_reset(db, kit, EMAIL, wrong(code), PASSWORD),
        lambda: sign_up(db, kit, EMAIL + "@", PASSWORD[:4], NAME * 50, PHONE + "x", ADDRESS, NAME),
        lambda: create_operator(db, kit, OPERATOR, PASSWORD, NAME, "viewer"),
        lambda: create_operator(db, kit, OPERATOR, PASSWORD, NAME, PASSWORD),
        lambda: refresh(db, kit, session.refresh_token + "x." + EMAIL),
        lambda: read_me(db, kit_of("k2", {"k2": NEW_KEY}), buyer),
    ]
    with structlog.testing.capture_logs() as lines:
        told = [shown(refusal) for refusal in refusals]
        told += [
            fail_to_mail(db, kit, EffectFailed("mail server: OSError")),
            fail_to_mail(db, kit, OSError(EMAIL)),
        ]
    told += [
        repr(lines),
        caplog.text,
        *capfd.readouterr(),
        repr(kit),
        repr(session),
        repr(read_me(db, kit, buyer)),
    ]
    told += [repr(read_me(db, kit, request_other)), repr(list_addresses(db, kit, buyer))]
    assert len(lines) == 2
    assert closed("\n".join(told).encode(), code, session.refresh_token, session.refresh_token.split(".")[1])
    assert isinstance(session, SignedIn)
    assert closed(everything_stored(db))


def shown(refusal: Callable[[], Any]) -> str:
    """What an operator could see of a refusal: the traceback with its messages, and the fields' faults."""
    with pytest.raises(ShopError) as refused:
        refusal()
    faults = refused.value.faults if isinstance(refused.value, InvalidFields) else ()
    return f"{''.join(traceback.format_exception(refused.value))}{refused.value!r}{faults}"


def fail_to_mail(db: Database, kit: AccountKit, error: Exception) -> str:
    """Deliver a letter by a mail server that fails with this error; what is kept of it."""

    class Failing:
        def send(self, _mail: Mail) -> None:
            raise error

    request_reset(db, kit, f"x{EMAIL}")
    db.run(lambda tx: tx.execute(text("UPDATE outbox SET due_at = 0, lease_until = NULL")))
    deliver_due(
        db, kit.vault, {KIND: mail_effect(db, kit.vault, Failing(), "https://sale.example.com")}, limit=1
    )
    return str(db.read(lambda tx: tx.all(text("SELECT last_error FROM outbox"))))
