"""The arrows of the house, kept by reading the code: who may import whom, who reads the environment, where Lua lives."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("firstcome", "firstcome_gate", "gateway", "rehearsal", "waiting_room", "workers", "shop")

# What each package may import of the others. Data flows one way.
ARROWS: dict[str, set[str]] = {
    "firstcome": {"gateway", "rehearsal", "waiting_room", "workers", "shop"},
    "gateway": {"rehearsal", "waiting_room", "workers", "shop", "firstcome_gate"},
    "rehearsal": {"waiting_room", "workers", "shop"},
    "firstcome_gate": set(),
    "workers": {"shop"},
    "waiting_room": set(),
    "shop": set(),
}
# The exceptions, each with its reason.
ALLOWED = {
    ("workers", "waiting_room.keys"),  # every Redis key has one home
    ("workers", "waiting_room.collector"),  # scripts travel to Redis in one way
    ("firstcome_gate", "waiting_room.passes"),  # a pass is read in one place
    ("firstcome_gate", "waiting_room.refusals"),
    ("gateway", "firstcome.settings"),  # the type of the settings, for annotations
}
# The gateway's composition root wires the clients that the command line's package knows how to make.
COMPOSITION_ROOT = "gateway/app.py"
COMPOSED = {"firstcome.settings", "firstcome.clients", "firstcome.wiring"}

HTTP = {"litestar", "starlette", "httpx", "requests", "urllib.request", "http.client", "granian"}
SQL = {"sqlalchemy", "pymysql", "sqlite3", "alembic"}
REDIS = {"redis"}
QUEUE = {"rq"}
MAIL = {"smtplib"}
# Third parties that a package must not know. HTTP and SMTP clients live in the shop's adapters only.
FORBIDDEN: dict[str, set[str]] = {
    "waiting_room": HTTP | SQL | QUEUE | MAIL,
    "shop": HTTP | REDIS | QUEUE | MAIL,
    "workers": HTTP | SQL | MAIL,
    "rehearsal": HTTP | SQL | QUEUE | MAIL,
    "gateway": SQL | QUEUE | MAIL | {"httpx"},
    # What a site of any framework imports: it asks the room by HTTP, and knows no store.
    "firstcome_gate": (HTTP - {"httpx"}) | SQL | REDIS | QUEUE | MAIL | {"pydantic_settings"},
}
ADAPTERS = {
    "shop/payments/providers/": {"httpx"},
    "shop/mail/smtp.py": {"smtplib"},
    # The stand-in is a program of its own: it calls back like the provider it stands for, and keeps its own books.
    "gateway/simulator/": {"httpx", "sqlite3"},
}
# Rules are pure: no framework, no store, no clock, no chance, no files.
RULES = (
    *("waiting_room/window.py", "waiting_room/clock.py", "waiting_room/states.py", "waiting_room/pace.py"),
    *("waiting_room/estimate.py", "waiting_room/polling.py", "waiting_room/place.py"),
    *("waiting_room/line_state.py", "shop/orders/entry.py", "shop/orders/judgement.py"),
    *("rehearsal/plan.py", "rehearsal/report.py"),
)
PURE_FORBIDDEN = (
    HTTP
    | SQL
    | REDIS
    | QUEUE
    | MAIL
    | {"asyncio", "threading", "random", "secrets", "time", "os", "pathlib", "io"}
)


def modules(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


ALL = [path for package in PACKAGES for path in modules(package)]


ENVIRONMENT = {
    "os.environ",
    "os.environb",
    "os.getenv",
    "dotenv",
    "dotenv.dotenv_values",
    "dotenv.load_dotenv",
}


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; relative imports made absolute."""
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                base = ".".join((*parts, *filter(None, [node.module])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_within(module: str, prefixes: set[str]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def test_modules_import_only_along_the_arrows() -> None:
    offences = []
    for path in ALL:
        package = path.relative_to(ROOT).parts[0]
        allowed = {wanted for owner, wanted in ALLOWED if owner == package} | ARROWS[package] | {package}
        if name_of(path) == COMPOSITION_ROOT:
            allowed |= COMPOSED
        offences += [
            f"{name_of(path)} imports {module}"
            for module in imports(path)
            if module.partition(".")[0] in PACKAGES and not is_within(module, allowed)
        ]
    assert offences == []


def test_packages_know_only_their_own_technology() -> None:
    offences = []
    for path in ALL:
        forbidden = set(FORBIDDEN.get(path.relative_to(ROOT).parts[0], set()))
        for adapter, needed in ADAPTERS.items():
            if name_of(path).startswith(adapter):
                forbidden -= needed
        offences += [
            f"{name_of(path)} imports {module}" for module in imports(path) if is_within(module, forbidden)
        ]
    assert offences == []


def test_rules_are_free_of_frameworks_stores_clocks_and_chance() -> None:
    rules = [path for path in ALL if path.name == "rules.py" or name_of(path) in RULES]
    assert {name_of(path) for path in rules} >= set(RULES), "a file of rules that is named here is gone"
    offences = [
        f"{name_of(path)} imports {module}"
        for path in rules
        for module in imports(path)
        if is_within(module, PURE_FORBIDDEN)
    ]
    offences += [f"{name_of(path)} reads a clock" for path in rules if "datetime.now" in text_of(path)]
    assert offences == []


def test_only_the_settings_read_the_environment() -> None:
    offences = []
    for path in ALL:
        if name_of(path) == "firstcome/settings.py":
            continue
        read = {
            f"os.{node.attr}"
            for node in ast.walk(ast.parse(text_of(path)))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        }
        read |= set(imports(path))
        offences += [name_of(path) for name in sorted(read & ENVIRONMENT)]
    assert offences == []


# ---------------------------------------------------------------- Lua


SCRIPTS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.lua"))


def test_there_is_no_lua_inside_python() -> None:
    lua = re.compile(r"redis\.call\(|\b(KEYS|ARGV)\[\d")
    assert [name_of(path) for path in ALL if lua.search(text_of(path))] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_every_script_says_its_purpose_keys_arguments_answer_and_cost(path: Path) -> None:
    lines = text_of(path).splitlines()
    header = [*itertools.takewhile(lambda line: line.startswith("--"), lines)]
    said, body = "\n".join(header), "\n".join(lines[len(header) :])
    assert len(header[0]) > len("-- a purpose"), "the first line says what it is for"
    words = {"KEYS"} if path.name.startswith("_") else {"KEYS", "Returns", "Cost"}
    words |= {"ARGV"} if "ARGV[" in body and not path.name.startswith("_") else set()
    assert [word for word in sorted(words) if word not in said] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_scripts_take_their_keys_as_arguments(path: Path) -> None:
    code = "\n".join(line.partition("--")[0] for line in text_of(path).splitlines())
    assert not re.search(r"""['"]fc:""", code), "a key that a script builds itself lives in no known slot"
    assert not re.search(r"redis\.call\(\s*['\"](KEYS|SCAN|FLUSHALL|FLUSHDB)['\"]", code)


def test_every_redis_key_is_written_in_one_module() -> None:
    prefix = re.compile(r"""f?["']fc:""")
    assert [name_of(path) for path in ALL if prefix.search(text_of(path))] == []


# ---------------------------------------------------------------- files


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name_of(path)
        for path in ALL
        if path.name != "__init__.py"
        and "migrations" not in path.parts
        and not ast.get_docstring(ast.parse(text_of(path)))
    ]
    assert silent == []


def test_there_is_no_room_for_odds_and_ends() -> None:
    names = {part for path in ALL for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"common", "utils", "util", "helpers", "misc"}
