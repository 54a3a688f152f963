"""`firstcome verify-draw`: recompute a draw from what is public about it, as any stranger could, and say exactly what is off.

Reads the two public documents by their addresses or from files, asks nothing else, and needs no settings: it may run anywhere.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urljoin

from waiting_room.draw import DrawList, Entry, Published, faults_of

WITHIN_S = 30
LARGEST_DOCUMENT = 64 * 1024 * 1024


class Unreadable(Exception):
    """A document that cannot be had or understood; the message says which and why."""


class NotPublic(Exception):
    """The draw has not taken place yet: there is a commitment, and nothing to verify."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: `faults` is empty for a draw that is what was promised; `place` is that of the ticket asked about."""

    sale: str
    size: int
    faults: tuple[str, ...]
    place: float | None = None


def verify(source: str, list_source: str | None, ticket: str | None) -> Verdict:
    """Verify the draw that `source` describes: the address of …/api/v1/sales/<sale>/draw or of the sale's page, or a file.

    `list_source` is the address or file of its list; without one the list is fetched from where the description says.
    Raises Unreadable or NotPublic.
    """
    address = _address_of(source)
    document = _document(_read(address), address)
    if document.get("seed") is None:
        raise NotPublic(
            "The draw has not taken place yet; its commitment is " + str(document.get("commitment"))
        )
    if list_source is None:
        if not _is_url(address):
            raise Unreadable("say where the list is: --list FILE")
        list_source = urljoin(address, str(document.get("list_url")))
    text = _read(list_source)
    published = _published(document, address)
    faults = tuple(faults_of(published, text))
    drawn = DrawList(published.seed, text)
    late = {entry.ticket_id: entry.place for entry in published.addendum}
    place = None if ticket is None or faults else late.get(ticket, drawn.place(ticket))
    return Verdict(str(document.get("sale")), published.size, faults, place)


def _address_of(source: str) -> str:
    """A sale's page is as good as the draw's own address."""
    if _is_url(source) and "/api/" not in source and "/sales/" in source:
        site, _, slug = source.partition("/sales/")
        return f"{site}/api/v1/sales/{slug.split('/')[0].split('?')[0]}/draw"
    return source


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _read(source: str) -> bytes:
    try:
        if not _is_url(source):
            return Path(source).read_bytes()
        with urllib.request.urlopen(source, timeout=WITHIN_S) as answer:
            content: bytes = answer.read(LARGEST_DOCUMENT + 1)
    except (URLError, OSError) as fault:
        raise Unreadable(f"{source} cannot be read: {fault}") from None
    if len(content) > LARGEST_DOCUMENT:
        raise Unreadable(f"{source} is larger than any list of a draw")
    return content


def _document(content: bytes, source: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict) or "commitment" not in document:
        raise Unreadable(f"{source} does not describe a draw")
    return document


def _published(document: dict[str, Any], source: str) -> Published:
    try:
        return Published(
            sale_id=str(document["sale_id"]),
            commitment=str(document["commitment"]),
            seed=bytes.fromhex(document["seed"]),
            size=int(document["size"]),
            list_hash=str(document["list_hash"]),
            addendum=tuple(
                Entry(str(entry["ticket_id"]), float(entry["place"])) for entry in document["addendum"]
            ),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise Unreadable(f"{source} does not describe a draw that took place: {fault}") from None
