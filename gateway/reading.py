"""Reading a body strictly: JSON without coercion or unknown fields, every bad field named at once; forms in UTF-8.

msgspec stops at the first fault; `faults_of` walks the whole value and collects all of them. `JsonBody` puts this between
Litestar and its handlers, so that a handler that takes `data: JSONBody[X]` sees nothing but a valid `X`.
"""

from __future__ import annotations

import types
from collections.abc import AsyncGenerator
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin

import msgspec
from litestar import Request
from litestar.datastructures import FormMultiDict
from litestar.dto import AbstractDTO
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.typing import FieldDefinition

from gateway.bodies.problems import FieldFault
from gateway.plain import Receive
from gateway.refusals import BadFields, UnreadableBody, WrongMediaType

T = TypeVar("T")

LARGEST_BODY = 65_536
_MOST_FAULTS = 50


def read_json(raw: bytes, kind: type[T]) -> T:
    """The value of a body. Raises UnreadableBody for what is no JSON, BadFields naming every bad field."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableBody("the body is not JSON in UTF-8") from error
    return check(value, kind)


async def receive_json(receive: Receive, content_type: str, kind: type[T]) -> T:
    """The body of a request in plain ASGI, as a handler that takes `data` would get it; the same refusals."""
    require_json(content_type)
    return read_json(await receive_body(receive, LARGEST_BODY), kind)


async def receive_body(receive: Receive, largest: int) -> bytes:
    """The body of a request in plain ASGI. Raises UnreadableBody when the client has gone, RequestEntityTooLarge."""
    parts, size, more = [], 0, True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            raise UnreadableBody("the body did not arrive whole")
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise RequestEntityTooLarge
        more = event.get("more_body", False)
    return b"".join(parts)


class PatientRequest(Request[Any, Any, Any]):
    """A request whose body may end before its end: a phone in a tunnel is no fault of ours, and nothing to write down."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises UnreadableBody when the client has gone."""
        try:
            async for part in super().stream():
                yield part
        except InternalServerException as error:
            if not self.is_connected:  # read a second time: that would be a fault of ours
                raise
            raise UnreadableBody("the body did not arrive whole") from error


async def read_form(request: Request[Any, Any, Any]) -> FormMultiDict:
    """The fields of a form. Raises UnreadableBody for text that is not UTF-8; Litestar refuses what has not the form of a form."""
    try:
        return await request.form()
    except UnicodeDecodeError as error:
        raise UnreadableBody("the form is not in UTF-8") from error


def check(value: Any, kind: type[T]) -> T:
    """A decoded JSON value as `kind`. Raises BadFields naming every bad field."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadFields(
            faults_of(value, kind) or [FieldFault(field="", message=_plain(str(error)))]
        ) from None


def faults_of(value: Any, kind: Any, path: str = "") -> list[FieldFault]:
    """Everything that keeps `value` from being a `kind`, each with the path of its field."""
    struct = _struct_of(kind)
    if struct is not None and isinstance(value, dict):
        return _faults_in_struct(value, struct, path)
    element = _element_of(kind)
    if element is not None and isinstance(value, list):
        faults = [
            fault for at, each in enumerate(value) for fault in faults_of(each, element, _join(path, str(at)))
        ]
        if faults:
            return faults[:_MOST_FAULTS]
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return [FieldFault(field=path, message=_plain(str(error)))]
    return []


def _faults_in_struct(value: dict[str, Any], struct: type[msgspec.Struct], path: str) -> list[FieldFault]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    faults = [
        FieldFault(field=_join(path, str(name)[:100]), message="is not a field of this request")
        for name in value
        if name not in fields
    ]
    for name, field in fields.items():
        if name in value:
            faults += faults_of(value[name], field.type, _join(path, name))
        elif field.required:
            faults.append(FieldFault(field=_join(path, name), message="is required"))
    return faults[:_MOST_FAULTS]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _plain(message: str) -> str:
    """msgspec's message without its notation: "Expected `int`, got `str` - at `$.x`" is for programmers."""
    text = message.split(" - at ", 1)[0].replace("`", "")
    return text[:1].lower() + text[1:]


def _arms(kind: Any) -> tuple[Any, ...]:
    while hasattr(kind, "__metadata__"):  # Annotated
        kind = kind.__origin__
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(arm for each in get_args(kind) for arm in _arms(each))
    return (kind,)


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    for arm in _arms(kind):
        if isinstance(arm, type) and issubclass(arm, msgspec.Struct):
            return arm
    return None


def _element_of(kind: Any) -> Any | None:
    for arm in _arms(kind):
        if get_origin(arm) is list:
            return get_args(arm)[0]
    return None


class JsonBody(AbstractDTO[T]):
    """Decodes the `data` of the handlers below the router that names it. Has nothing to do with what they return."""

    _kinds: ClassVar[dict[str, Any]] = {}

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, _backend_cls: Any = None
    ) -> None:
        if field_definition.name == "data":
            cls._kinds[handler_id] = field_definition.annotation

    def decode_bytes(self, value: bytes) -> Any:
        require_json(self.asgi_connection.headers.get("content-type", ""))
        return read_json(value, self._kinds[self.asgi_connection.route_handler.handler_id])

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,  # noqa: ARG003 - Litestar passes it by name
        handler_id: str,
        schema_creator: Any,
    ) -> Any:
        return schema_creator.for_field_definition(
            FieldDefinition.from_annotation(cls._kinds[handler_id], name="data")
        )

    @classmethod
    def generate_field_definitions(cls, model_type: Any) -> Any:
        raise NotImplementedError("the bodies are msgspec structs, read as they are")

    @classmethod
    def detect_nested_field(cls, _field_definition: FieldDefinition) -> bool:
        return False


def require_json(content_type: str) -> None:
    """Raises WrongMediaType for what is not JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise WrongMediaType("send the body as application/json")
