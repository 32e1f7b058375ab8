"""Values to and from plain dictionaries, in the form that protobuf's JSON mapping has.

Field names are the attributes' names; None is left out; an enum value is its class's name and its
own, in upper case with an underscore between; a union is a dictionary with one key, the class's
name in snake case.

Reading passes over keys that the class does not have, and gives a field that is missing its
default. What a newer release may have written besides, a ``Reader`` takes or refuses.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast

from bsadvise.model.values import OpenEnum, Unknown, snake_case

T = TypeVar("T")
Check = Callable[[object], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """How dictionaries are read.

    Attributes:
        takes_unknown: Whether an enum value that this release does not know becomes ``UNKNOWN``,
            and a member of a union ``Unknown``, both with what was said. Else they are errors.
        takes_missing: Whether a field that is missing and has no default is what protobuf takes it
            for: 0, false, empty. Else that is an error.
        check: Raises ValueError for a value that cannot be; called with each one that was read.
    """

    takes_unknown: bool = True
    takes_missing: bool = True
    check: Check = lambda _: None

    def read(self, data: Mapping[str, Any], cls: type[T]) -> T:
        """Return the value of a dictionary that ``to_plain`` or ``union_to_plain`` made.

        Args:
            data: The dictionary.
            cls: A dataclass, or a union of them.

        Raises:
            ValueError: The dictionary does not describe such a value; says in which field.
        """
        try:
            return cast(T, self._read(data, cls))
        except ValueError as error:
            raise ValueError(f"not a {getattr(cls, '__name__', cls)}: {error}") from error

    def _read(self, data: Any, hint: Any) -> Any:  # noqa: ANN401 - of any type
        if isinstance(hint, types.UnionType):
            return self._read_member(_as(data, dict), typing.get_args(hint))
        origin = typing.get_origin(hint)
        if origin is tuple:
            item_hint = typing.get_args(hint)[0]
            return tuple(self._read(item, item_hint) for item in _as(data, list))
        if origin is Mapping:
            return {key: _as(text, str) for key, text in _as(data, dict).items()}
        if dataclasses.is_dataclass(hint):
            return self._read_value(_as(data, dict), hint)
        if issubclass(hint, OpenEnum):
            return self._read_enum(data, hint)
        return _as(data, hint)

    def _read_value(self, data: Mapping[str, Any], cls: Any) -> Any:  # noqa: ANN401
        found = {}
        for name, hint, has_default in _fields_of(cls):
            if data.get(name) is not None:
                try:
                    found[name] = self._read(data[name], hint)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
            elif not has_default:
                if not self.takes_missing:
                    raise ValueError(f"{name} is missing")
                found[name] = self._nothing(hint)
        value = cls(**found)
        self.check(value)
        return value

    def _nothing(self, hint: Any) -> Any:  # noqa: ANN401 - of any type
        """Return what protobuf takes a field for that was not sent."""
        is_message = isinstance(hint, types.UnionType) or dataclasses.is_dataclass(hint)
        if is_message or typing.get_origin(hint) is Mapping:
            return self._read({}, hint)
        if typing.get_origin(hint) is tuple:
            return ()
        return hint.unknown(0) if issubclass(hint, OpenEnum) else hint()

    def _read_member(self, data: Mapping[str, Any], members: tuple[type, ...]) -> object:
        known = {snake_case(member.__name__): member for member in members}
        tag = next(iter(data), None)
        if len(data) == 1 and tag in known:
            return self._read(data[tag], known[tag])
        if not self.takes_unknown or Unknown not in members:
            raise ValueError(f"{sorted(data)} is not exactly one of {sorted(known)}")
        return Unknown(kind=tag)

    def _read_enum(self, said: object, cls: type[OpenEnum]) -> OpenEnum:
        prefix = enum_prefix(cls)
        for member in cls:
            if said == prefix + member.name:
                return member
        if not self.takes_unknown or not isinstance(said, int | str):
            raise ValueError(f"{said!r} is not one of {[prefix + member.name for member in cls]}")
        return cls.unknown(said)


def to_plain(value: object) -> dict[str, Any]:
    """Return the dictionary of a dataclass."""
    unions = _union_fields(_any(value.__class__))
    return {
        field.name: union_to_plain(item) if field.name in unions else _plain(item)
        for field in dataclasses.fields(_any(value))
        if (item := getattr(value, field.name)) is not None
    }


def union_to_plain(value: object) -> dict[str, Any]:
    """Return the dictionary of a member of a union: its one key says which member."""
    return {snake_case(type(value).__name__): to_plain(value)}


def enum_prefix(enum_class: type[OpenEnum]) -> str:
    """Return what protobuf's style puts before each value of an enum."""
    return snake_case(enum_class.__name__).upper() + "_"


def _plain(item: object) -> object:
    if dataclasses.is_dataclass(item):
        return to_plain(item)
    if isinstance(item, OpenEnum):
        return enum_prefix(type(item)) + item.name if item.is_known else item.said
    if isinstance(item, StrEnum):  # In a field that is text, since newer releases add values.
        return item.value
    if isinstance(item, tuple):
        return [_plain(one) for one in item]
    return dict(item) if isinstance(item, Mapping) else item


def _as(data: object, cls: type[T]) -> T:
    if cls is float and isinstance(data, int) and not isinstance(data, bool):
        return cast(T, float(data))
    if not isinstance(data, cls) or (cls is int and isinstance(data, bool)):
        article = "an" if cls is int else "a"
        name = "integer" if cls is int else cls.__name__
        raise ValueError(f"{data!r} is not {article} {name}")
    return data


@cache
def _fields_of(cls: type) -> tuple[tuple[str, Any, bool], ...]:
    """Return name, type and whether there is a default, of each field."""
    hints = typing.get_type_hints(cls)
    return tuple(
        (field.name, _without_none(hints[field.name]), _has_default(field))
        for field in dataclasses.fields(_any(cls))
    )


@cache
def _union_fields(cls: type) -> frozenset[str]:
    return frozenset(n for n, hint, _ in _fields_of(cls) if isinstance(hint, types.UnionType))


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _without_none(hint: Any) -> Any:  # noqa: ANN401 - of any type
    members = typing.get_args(hint)
    if isinstance(hint, types.UnionType) and len(members) == 2 and type(None) in members:
        return members[0] if members[1] is type(None) else members[1]
    return hint


def _any(value: object) -> Any:  # noqa: ANN401 - dataclasses.fields wants a dataclass
    return value
