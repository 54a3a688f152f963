"""The gate of other sites: who holds a good pass, the sealed way back to the site, and the one-time code for another host.

A pass is verified here and now, without Redis and without the database. Knows no HTTP.

The way back is sealed (AES-256-GCM), since the path of a site may say something about whoever asks for it; it is good for one sale
and for a day, and leads to no site but those that the settings name.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from firstcome_gate import nonce
from gateway.bodies.problems import FieldFault
from gateway.onward import same_site
from gateway.refusals import BadFields, CodeSpent, SnapshotStale, UnknownSale, UnknownSite
from shop.vault import Unreadable, place
from waiting_room.codes import Handover
from waiting_room.passes import Pass
from waiting_room.refusals import InvalidToken

if TYPE_CHECKING:
    from firstcome.settings import Settings
    from gateway.services import Services
    from gateway.snapshot import SaleView

RETURN_S = nonce.LIFE_S
_SEALED_AS = "gate:return"


@dataclass(frozen=True, slots=True)
class Knock:
    """What a proxy asks: for which sale, by its slug or its id, and for which site; the configuration says it, not the client.

    `answer`: how a browser is turned away, 303 or 401. `nonce_hash`: of what the site itself lets the browser keep.
    """

    sale: str | None
    sale_id: str | None
    site: str
    answer: str
    nonce_hash: str | None = None


class WayBack(msgspec.Struct, frozen=True):
    """Where on which site a buyer wants to be once admitted; `expires_at` in unix seconds.

    `nonce_hash`: of what the browser keeps at another host; empty for the room's own, where no code is needed.
    """

    site: str
    path: str
    expires_at: int
    nonce_hash: str = ""


# ---------------------------------------------------------------- who may pass


def read_pass(services: Services, sale_id: str, token: str | None) -> Pass | None:
    """A pass of this sale that is good now; None for everything else."""
    try:
        admission = services.pass_reader.read(token or "", round(time.time() * 1000))
    except InvalidToken:
        return None
    return admission if admission.sale_id == sale_id else None


def sale_id_of(services: Services, knock: Knock) -> str:
    """The id as configured, or that of the slug as it was last seen: a gate does not close because a store is away.

    Raises BadFields, UnknownSale or SnapshotStale.
    """
    if (knock.sale is None) == (knock.sale_id is None):
        raise BadFields([FieldFault(field="sale", message="say either sale or sale_id, once")])
    return knock.sale_id or sale_of(services, knock).sale_id


def sale_of(services: Services, knock: Knock) -> SaleView:
    """The sale that was asked for. Raises UnknownSale, or SnapshotStale where nothing was ever seen."""
    sale = services.snapshot.last_seen(slug=knock.sale, sale_id=knock.sale_id)
    if sale is None:
        if services.snapshot.age_s[0] is None:
            raise SnapshotStale("the catalogue was never read")
        raise UnknownSale("there is no such sale")
    return sale


# ---------------------------------------------------------------- the way back


def sites(settings: Settings) -> tuple[str, ...]:
    """The origins that the gate leads to: the room's own host, and what the settings name."""
    return (settings.base_url.lower(), *settings.gate_sites)


def site_of(settings: Settings, origin: str) -> str:
    """A site that the gate serves. Raises UnknownSite."""
    site = origin.rstrip("/").lower()
    if site not in sites(settings):
        raise UnknownSite("the settings do not name this site")
    return site


def site_of_host(settings: Settings, host: str) -> str:
    """The site of another host, by the Host that a browser asked. Raises UnknownSite."""
    for site in settings.gate_sites:
        if site.partition("://")[2] == host.lower():
            return site
    raise UnknownSite("the settings do not name this host")


def is_elsewhere(settings: Settings, site: str) -> bool:
    """Whether a site is on another host, to which this host's cookies do not travel."""
    return site != settings.base_url.lower()


def nonce_of(settings: Settings, cookie_header: str) -> str:
    """The nonce that this browser keeps at the site, else a fresh one."""
    return nonce.kept(cookie_header, secure=settings.secure) or secrets.token_urlsafe(32)


def seal_way_back(services: Services, sale_id: str, site: str, target: str, nonce_hash: str = "") -> str:
    """The way back to `target`, a path with its query, for the browser whose nonce has this hash; no path leads to the site's start."""
    path = same_site(target)
    way = WayBack(site, path if path.isascii() else "/", int(time.time()) + RETURN_S, nonce_hash)
    sealed = services.vault.seal(msgspec.json.encode(way).decode(), place(_SEALED_AS, sale_id))
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def open_way_back(services: Services, sale_id: str, sealed: str) -> WayBack | None:
    """The way back again; None when it is changed, over, of another sale, or leads to a site that is no longer served."""
    try:
        opened = services.vault.open(
            base64.b64decode(sealed + "=" * (-len(sealed) % 4), b"-_", validate=True),
            place(_SEALED_AS, sale_id),
        )
        way = msgspec.json.decode(opened, type=WayBack)
    except (ValueError, Unreadable):
        return None
    if way.expires_at <= time.time() or way.site not in sites(services.settings):
        return None
    return way


def way_in(services: Services, sale: SaleView, site: str, target: str, nonce_hash: str = "") -> str:
    """The address of the line, with the sealed way back."""
    sealed = seal_way_back(services, sale.sale_id, site, target, nonce_hash)
    return f"{services.settings.base_url}/sales/{sale.slug}/line?return={sealed}"


# ---------------------------------------------------------------- to another host


async def code_for(services: Services, admission: Pass, sealed: str) -> str:
    """A one-time code for the pass and its way back. Raises RoomUnavailable."""
    return await services.codes.issue(Handover(admission, sealed))


async def redeem(services: Services, code: str, site: str, held: str | None) -> tuple[Pass, WayBack]:
    """The pass behind a code and where to go with it, once, for the site and the browser (its nonce) that it was made for.

    A code that another site or browser presents is spent with it. Raises CodeSpent, UnknownSite, RoomUnavailable.
    """
    site = site_of(services.settings, site)
    handover = await services.codes.redeem(code)
    if handover is None:
        raise CodeSpent("this code was taken, is over, or was none")
    way = open_way_back(services, handover.admission.sale_id, handover.to)
    if way is None or way.site != site:
        raise CodeSpent("this code was made for another site")
    if not held or not hmac.compare_digest(nonce.hash_of(held), way.nonce_hash):
        raise CodeSpent("this code was made for another browser")
    return handover.admission, way
