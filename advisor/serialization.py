"""Domain values to and from plain dictionaries, in the form that protobuf's JSON mapping has.

One form serves the database, the worker's pipe and the public API: field names are the
attributes' names; None is left out; an enum value is its class's name and its own, in upper
case with an underscore between; a union is a dictionary with one key, the class's name in
snake case. Unknown keys, unknown enum values and values that a class refuses are errors.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from enum import StrEnum
from types import UnionType
from typing import Any, TypeVar, cast, get_args

import cattrs
from bsadvise.model.commands import Command
from bsadvise.model.measurements import Figures, Outcome
from bsadvise.model.recommendation import Happening
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from advisor.domain.validation.registry import check

T = TypeVar("T")


def snake_case(name: str) -> str:
    """Return a class's name in snake case: ``TraceMemory`` is ``trace_memory``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def enum_prefix(enum_class: type[StrEnum]) -> str:
    """Return what protobuf's style puts before each value of an enum."""
    return snake_case(enum_class.__name__).upper() + "_"


def to_dict(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any domain value
    """Return the dictionary of a domain dataclass."""
    return cast(dict[str, Any], _CONVERTER.unstructure(value))


def union_to_dict(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any member of a union
    """Return the dictionary of a member of a union: its one key says which member."""
    return {snake_case(type(value).__name__): to_dict(value)}


def from_dict(data: Mapping[str, Any], cls: type[T]) -> T:
    """Return the value of a dictionary that ``to_dict`` or ``union_to_dict`` made.

    Args:
        data: The dictionary.
        cls: A domain dataclass, or a union of them.

    Raises:
        ValueError: The dictionary does not describe such a value.
    """
    try:
        return _CONVERTER.structure(data, cls)
    except cattrs.BaseValidationError as error:
        details = "; ".join(cattrs.transform_error(error, format_exception=_describe))
        raise ValueError(f"not a {_name(cls)}: {details}") from error
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a {_name(cls)}: {error}") from error


def _name(cls: object) -> str:
    return getattr(cls, "__name__", str(cls))


def _describe(error: BaseException, _: type | None) -> str:
    return str(error)


def _unstructure_enum(value: StrEnum) -> str:
    return enum_prefix(type(value)) + value.name


def _structure_enum(data: object, cls: type[StrEnum]) -> StrEnum:
    prefix = enum_prefix(cls)
    for member in cls:
        if data == prefix + member.name:
            return member
    raise ValueError(f"{data!r} is not one of {[prefix + member.name for member in cls]}")


def _structure_int(data: object, _: type[int]) -> int:
    # Protobuf's JSON mapping writes 64-bit integers as text.
    if isinstance(data, bool) or not isinstance(data, int | str):
        raise TypeError(f"{data!r} is not an integer")
    return int(data)


def _structure_exactly(data: object, cls: type[T]) -> T:
    if not isinstance(data, cls):
        raise TypeError(f"{data!r} is not a {cls.__name__}")
    return data


def _make_unstructure(cls: type, converter: cattrs.Converter) -> Any:  # noqa: ANN401
    unstructure: Any = make_dict_unstructure_fn(cls, converter)

    def without_none(value: object) -> dict[str, Any]:
        return {key: item for key, item in unstructure(value).items() if item is not None}

    return without_none


def _make_structure(cls: type, converter: cattrs.Converter) -> Any:  # noqa: ANN401
    structure: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True)

    def checked(data: Mapping[str, Any], hint: Any) -> object:  # noqa: ANN401
        value = structure(data, hint)
        check(value)
        return value

    return checked


def _register_union(converter: cattrs.Converter, union: UnionType) -> None:
    members = {snake_case(member.__name__): member for member in get_args(union)}

    def structure(data: Mapping[str, Any], _: object) -> object:
        if len(data) != 1 or (key := next(iter(data))) not in members:
            raise ValueError(f"{sorted(data)} is not exactly one of {sorted(members)}")
        return converter.structure(data[key], members[key])

    converter.register_unstructure_hook_func(lambda t: t == union, union_to_dict)
    converter.register_structure_hook_func(lambda t: t == union, structure)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(
        forbid_extra_keys=True, unstruct_collection_overrides={tuple: list}
    )
    converter.register_unstructure_hook_factory(
        dataclasses.is_dataclass, lambda cls: _make_unstructure(cls, converter)
    )
    converter.register_structure_hook_factory(
        dataclasses.is_dataclass, lambda cls: _make_structure(cls, converter)
    )
    converter.register_unstructure_hook(StrEnum, _unstructure_enum)
    converter.register_structure_hook(StrEnum, _structure_enum)
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(bool, _structure_exactly)
    converter.register_structure_hook(str, _structure_exactly)
    for union in (Command, Figures, Outcome, Happening):
        _register_union(converter, union)
    return converter


_CONVERTER = _make_converter()
