"""Values that the user sees, read from protobuf messages whose fields have the same names.

The messages are the contract; the dataclasses give it Python types, None for "not measured", and
plain dictionaries for JSON and YAML. That each class has just the fields of its message is tested.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from google.protobuf.message import Message

from bsadvise.model.errors import UnexpectedReply

if TYPE_CHECKING:
    # Protobuf has a descriptor class of its own for each of its back ends.
    from google._upb._message import FieldDescriptor as UpbField
    from google.protobuf.descriptor import FieldDescriptor

    _Field = FieldDescriptor | UpbField

V = TypeVar("V", bound="Value")


class Value:
    """A frozen dataclass that the user sees."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return every field, None where nothing was measured, ready for JSON or YAML."""
        fields = dataclasses.fields(cast(Any, self))
        return {field.name: _to_plain(getattr(self, field.name)) for field in fields}


class Tagged(Value):
    """A value that stands in a field where others could stand.

    In a dictionary it is one key, its class's name in snake case, and its own dictionary.
    """

    __slots__ = ()

    @classmethod
    def tag(cls) -> str:
        """Return the class's name in snake case: ``TraceMemory`` is ``trace_memory``."""
        return _snake_case(cls.__name__)


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
    return cls(**{name: _read(message, descriptors[name], hint) for name, hint in hints.items()})


@cache
def _field_hints(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


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
    prefix = _snake_case(enum_class.__name__).upper() + "_"
    value = field.enum_type.values_by_number.get(number) if field.enum_type else None
    name = value.name.removeprefix(prefix) if value else ""
    if name not in enum_class.__members__:
        raise UnexpectedReply(f"{field.full_name} is {number}, which this client does not know")
    return enum_class[name]


def _to_plain(value: Any) -> Any:  # noqa: ANN401 - any field of a value
    if isinstance(value, Tagged):
        return {value.tag(): value.to_dict()}
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    return value


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
