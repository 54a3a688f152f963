"""The static files, held in memory: served compressed, under a name that changes with their content.

All files share one version, so that modules and style sheets find each other by relative names. Knows nothing of pages.
"""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

FOLDER = Path(__file__).parent.parent / "static"
FOREVER = "public, max-age=31536000, immutable"
A_MINUTE = "public, max-age=60"

# What browsers need to know and some machines' tables lack.
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file; `zipped` is empty where compression gains nothing."""

    media_type: str
    body: bytes
    zipped: bytes
    etag: str


@lru_cache(maxsize=1)
def all_assets() -> tuple[str, dict[str, Asset]]:
    """The version of all files together, and every file by its path below the folder."""
    files = {
        path.relative_to(FOLDER).as_posix(): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.is_file()
    }
    version = sha256("".join(f"{name}:{asset.etag}\n" for name, asset in files.items()).encode()).hexdigest()[
        :12
    ]
    return version, files


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    zipped = gzip.compress(body, 9, mtime=0)
    media_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    etag = f'"{sha256(body).hexdigest()[:20]}"'
    return Asset(media_type, body, zipped if len(zipped) < 0.9 * len(body) else b"", etag)


def asset_url(name: str) -> str:
    """The address of a static file. Raises KeyError for a name that does not exist."""
    version, files = all_assets()
    if name not in files:
        raise KeyError(f"there is no static file {name}")
    return f"/static/{version}/{name}"


def picture_url(name: str | None) -> str:
    """The address of a product's picture; a plain one where the product names none that exists."""
    wanted = f"products/{name}"
    return asset_url(wanted if wanted in all_assets()[1] else "products/generic.svg")


@get("/static/{name:path}", include_in_schema=False, sync_to_thread=False)
def static_file(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """A static file, by its versioned name (kept for a year) or its plain one (a minute)."""
    version, files = all_assets()
    plain = name.lstrip("/")
    lasting = plain.startswith(f"{version}/")
    found = files.get(plain.removeprefix(f"{version}/"))
    if found is None:
        raise NotFoundException
    headers = {
        "Cache-Control": FOREVER if lasting else A_MINUTE,
        "ETag": found.etag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == found.etag:
        return Response(b"", status_code=304, headers=headers)
    body = found.body
    if found.zipped and "gzip" in request.headers.get("accept-encoding", ""):
        body = found.zipped
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=found.media_type, headers=headers)
