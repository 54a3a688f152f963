"""What OpenAPI says about refusals, and the page at /schema for people.

The page is plain HTML without scripts, made from the same document that programs read, so that it loads nothing from anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Contact, Example, License, SecurityScheme, Tag

from gateway.bodies.problems import FieldFault, ProblemBody
from gateway.problem_answers import MEDIA_TYPE
from gateway.problems import Row, all_rows

# What every call may answer that takes a body, and every call of a buyer who is signed in.
BODY = ("unreadable_body", "unsupported_media_type", "bad_fields")
MINE = ("two_identities", "not_signed_in", "forbidden", "foreign_request", "unavailable")

_ROWS: Mapping[str, Row] = {row.code: row for row in all_rows()}


def refuses(*codes: str) -> dict[int, ResponseSpec]:
    """The refusals of a handler for OpenAPI, by their codes; what every call may answer is added."""
    by_status: dict[int, list[Row]] = defaultdict(list)
    for code in codes:
        by_status[_ROWS[code].status].append(_ROWS[code])
    return {status: _spec(rows) for status, rows in sorted(by_status.items())}


def _spec(rows: list[Row]) -> ResponseSpec:
    return ResponseSpec(
        data_container=ProblemBody,
        description=" · ".join(f"`{row.code}` {row.title}" for row in rows),
        media_type=MEDIA_TYPE,
        generate_examples=False,
        examples=[Example(id=row.code, summary=row.title, value=_example(row)) for row in rows],
    )


def _example(row: Row) -> Any:
    errors = [FieldFault(field="email", message="must be an e-mail address such as name@example.com")]
    body = ProblemBody(
        type=f"/schema#problem-{row.code}",
        title=row.title,
        status=row.status,
        code=row.code,
        instance="/api/v1/…",
        errors=errors if row.code == "bad_fields" else None,
    )
    return msgspec.to_builtins(body)


# ---------------------------------------------------------------- the document and its page


def openapi(version: str) -> OpenAPIConfig:
    """The configuration of the document at /schema/openapi.json and of the page at /schema."""
    return OpenAPIConfig(
        title="firstcome",
        version=version,
        description=(
            "A fair waiting room joined to stock, orders and payment. JSON in UTF-8; times RFC 3339 UTC; money in minor units "
            "beside its currency; unknown body fields are refused; every refusal is application/problem+json with a stable code."
        ),
        license=License(name="Apache-2.0", url="https://www.apache.org/licenses/LICENSE-2.0"),
        contact=Contact(name="the operator of this installation"),
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
                "ticket": SecurityScheme(
                    type="apiKey", security_scheme_in="header", name="Waiting-Room-Ticket"
                ),
            }
        ),
        security=[{"bearer": []}, {}],
        tags=[
            Tag(name="accounts", description="Sign up, sign in, my data"),
            Tag(name="catalogue", description="Products, sales and the cart"),
            Tag(name="draws", description="What a draw promised, and everything to recompute it"),
            Tag(name="line", description="The waiting room of a sale"),
            Tag(name="checkout", description="Orders and payments"),
            Tag(name="operator", description="Running sales"),
            Tag(name="gate", description="For the proxies and programs of other sites"),
            Tag(name="keys", description="For those who verify passes"),
        ],
        use_handler_docstrings=True,
        path="/schema",
        render_plugins=[SchemaPage(), JsonRenderPlugin(path="/openapi.json")],
    )


class SchemaPage(OpenAPIRenderPlugin):
    """The document as one HTML page."""

    def __init__(self) -> None:
        super().__init__(path="/", favicon="", style="")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        document = msgspec.json.decode(self.render_json(request, openapi_schema))
        return _page(document).encode()


def _page(document: dict[str, Any]) -> str:
    tags: dict[str, list[str]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags[(operation.get("tags") or ["other"])[0]].append(_operation(path, method, operation))
    sections = "".join(
        f"<h2>{escape(tag)}</h2>{''.join(operations)}" for tag, operations in sorted(tags.items())
    )
    shapes = "".join(_shape(name, shape) for name, shape in sorted(document["components"]["schemas"].items()))
    problems = "".join(
        f'<tr id="problem-{row.code}"><td>{row.status}</td><td><code>{row.code}</code></td><td>{escape(row.title)}</td></tr>'
        for row in sorted(_ROWS.values(), key=lambda row: (row.status, row.code))
    )
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>firstcome API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/static/app.css"></head><body class="schema"><main id="main">'
        f"<h1>firstcome API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        '<p><a href="/schema/openapi.json">openapi.json</a> (OpenAPI 3.1)</p>'
        f"{sections}<h2>Bodies</h2>{shapes}<h2>Problems</h2><table><thead><tr><th>Status</th><th>Code</th>"
        f"<th>Meaning</th></tr></thead><tbody>{problems}</tbody></table></main></body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    asked = [
        *(
            f"<li><code>{escape(one['name'])}</code> ({one['in']})</li>"
            for one in operation.get("parameters", ())
        ),
        *(f"<li>body: {_type(content.get('schema', {}))}</li>" for content in bodies),
    ]
    answers = [
        f"<li><code>{status}</code> {escape(answer.get('description', ''))}{_answer_type(answer)}</li>"
        for status, answer in operation.get("responses", {}).items()
    ]
    return (
        f"<details><summary><code>{method.upper()} {escape(path)}</code></summary>"
        f"<p>{escape(operation.get('description') or '')}</p>"
        f"{'<h4>Takes</h4><ul>' + ''.join(asked) + '</ul>' if asked else ''}"
        f"<h4>Answers</h4><ul>{''.join(answers)}</ul></details>"
    )


def _answer_type(answer: dict[str, Any]) -> str:
    shapes = [_type(content.get("schema", {})) for content in (answer.get("content") or {}).values()]
    return " — " + ", ".join(shapes) if shapes else ""


def _shape(name: str, shape: dict[str, Any]) -> str:
    needed = set(shape.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in needed else ' (optional)'}</td><td>{_type(kind)}</td>"
        f"<td>{escape(kind.get('description', ''))}</td></tr>"
        for field, kind in shape.get("properties", {}).items()
    )
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{escape(shape.get('description') or '')}</p><table><tbody>{rows}</tbody></table></details>"
    )


def _type(schema: dict[str, Any]) -> str:
    if reference := schema.get("$ref"):
        name = escape(reference.rsplit("/", 1)[1])
        return f'<a href="#{name}">{name}</a>'
    if "oneOf" in schema:
        return " or ".join(_type(arm) for arm in schema["oneOf"])
    if schema.get("type") == "array":
        return "list of " + _type(schema.get("items", {}))
    kind = schema.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return escape(words + (f" ({schema['format']})" if schema.get("format") else ""))
