"""Values read from protobuf messages whose fields have the same names."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from google.protobuf.message import Message

from bsadvise.model.errors import UnexpectedReply
from bsadvise.model.values import Tagged, Value, snake_case

if TYPE_CHECKING:
    # Protobuf has a descriptor class of its own for each of its back ends.
    from google._upb._message import FieldDescriptor as UpbField
    from google.protobuf.descriptor import FieldDescriptor

    _Field = FieldDescriptor | UpbField

V = TypeVar("V", bound=Value)


def from_message(message: Message, cls: type[V]) -> V:
    """Return a message as the dataclass with the same fields.

    Args:
        message: What the daemon sent.
        cls: The class to make; its type hints say how each field is read.

    Raises:
        UnexpectedReply: The message holds an enum value or a kind of value that this version of
            the client does not know.
    """
    descriptors = message.DESCRIPTOR.fields_by_name
    hints = _field_hints(cast(Any, cls))
    return cls(
        **{
            name: _read(message, descriptors[name], hint)
            for name, hint in hints.items()
            if name not in _defaults(cast(Any, cls)) or _is_said(message, descriptors[name])
        }
    )


def _is_said(message: Message, field: _Field) -> bool:
    """Return whether a message says anything of a field; what it leaves out is the default."""
    return not field.has_presence or message.HasField(field.name)


@cache
def _field_hints(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


@cache
def _defaults(cls: type[Any]) -> frozenset[str]:
    missing = dataclasses.MISSING
    return frozenset(
        field.name
        for field in dataclasses.fields(cls)
        if field.default is not missing or field.default_factory is not missing
    )


def _read(message: Message, field: _Field, hint: Any) -> Any:  # noqa: ANN401
    members = typing.get_args(hint)
    if isinstance(hint, types.UnionType) and type(None) in members:
        if not message.HasField(field.name):
            return None
        members = tuple(member for member in members if member is not type(None))
        hint = members[0]
    value = getattr(message, field.name)
    origin = typing.get_origin(hint)
    if origin is tuple:
        return tuple(_convert(item, field, typing.get_args(hint)[0]) for item in value)
    if origin is Mapping:
        return dict(value)
    return _convert(value, field, hint)


def _convert(value: Any, field: _Field, hint: Any) -> Any:  # noqa: ANN401
    if isinstance(hint, types.UnionType):
        return _read_member(value, typing.get_args(hint))
    if issubclass(hint, Value):
        return from_message(value, hint)
    if issubclass(hint, StrEnum):
        return _read_enum(value, field, hint)
    return value


def _read_member(message: Message, members: tuple[type[Tagged], ...]) -> Tagged:
    (oneof,) = message.DESCRIPTOR.oneofs
    tag = message.WhichOneof(oneof.name)
    for member in members:
        if member.tag() == tag:
            return from_message(getattr(message, tag), member)
    raise UnexpectedReply(f"{message.DESCRIPTOR.name} of a kind that this client does not know")


def _read_enum(number: int, field: _Field, enum_class: type[StrEnum]) -> StrEnum:
    prefix = snake_case(enum_class.__name__).upper() + "_"
    value = field.enum_type.values_by_number.get(number) if field.enum_type else None
    name = value.name.removeprefix(prefix) if value else ""
    if name not in enum_class.__members__:
        raise UnexpectedReply(f"{field.full_name} is {number}, which this client does not know")
    return enum_class[name]
