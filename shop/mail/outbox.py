"""Letters by way of the outbox: put in with the change they tell of, written and handed to the mailer when they are due.

`shop.mail.effects` is the machinery; this is its use for letters, and the one door to it for everybody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from shop.accounts.contact import contact_of
from shop.mail.effects import Effect, EffectFailed, Request, deliver_due, put_effects
from shop.mail.letters import Letter, Mailer, Occasion
from shop.mail.render import render
from shop.storage.database import Database, Tx
from shop.vault import Vault

__all__ = [
    "KIND",
    "Effect",
    "EffectFailed",
    "Request",
    "deliver_due",
    "mail_effect",
    "put_effects",
    "put_mail",
    "put_mails",
]

KIND = "mail"


def put_mail(tx: Tx, vault: Vault, letter: Letter, dedupe: str) -> None:
    """Send this letter after the commit; once, however often it is put under the same `dedupe` (ASCII, <= 123 characters)."""
    put_mails(tx, vault, [(letter, dedupe)])


def put_mails(tx: Tx, vault: Vault, letters: Sequence[tuple[Letter, str]]) -> None:
    """As `put_mail` for many (letter, dedupe) by one statement."""
    put_effects(tx, vault, [_request(letter, f"{KIND}:{dedupe}") for letter, dedupe in letters])


def _request(letter: Letter, dedupe: str) -> Request:
    payload = {
        "account_id": letter.account_id,
        "occasion": letter.occasion,
        "facts": letter.facts,
        "key": hashlib.sha256(dedupe.encode()).hexdigest()[:32],
    }
    return Request(KIND, dedupe, payload)


def mail_effect(db: Database, vault: Vault, mailer: Mailer, base_url: str) -> Effect:
    """The effect for `KIND`: writes one letter and sends it; an account that was erased meanwhile gets none.

    `base_url` is the public origin, for the links in letters.
    """

    def send(payload: dict[str, Any]) -> None:
        contact = db.read(contact_of, vault, payload["account_id"])
        if contact is None:
            return
        mailer.send(
            render(
                Occasion(payload["occasion"]),
                contact.locale,
                to=contact.email,
                base_url=base_url,
                facts=payload["facts"],
                key=payload["key"],
            )
        )

    return send
