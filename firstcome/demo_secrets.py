"""The demo's secrets: made at random once per data folder, readable by their owner alone, used again by every later start."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

FILE = "secrets"


def kept_secrets(folder: Path) -> dict[str, str]:
    """The secret settings of the demo in this folder, by the names of `Settings`."""
    path = folder / FILE
    if path.exists():
        kept: dict[str, str] = json.loads(path.read_text())
        return kept
    made = {
        "secret_keys": f"demo1:{secrets.token_urlsafe(32)}",
        "simulator_api_key": secrets.token_urlsafe(24),
        "simulator_webhook_secrets": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    # Written aside and renamed, so that a start that was cut off leaves no half file behind.
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(made, file)
    aside.replace(path)
    return made
