"""Each message of the contract has just the fields of the class of its name."""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from typing import Any

import pytest
from bsadvise.model import (
    advice,
    caveats,
    commands,
    device,
    explanation,
    measurements,
    recommendation,
    request,
    task,
)
from bsadvise.model.values import OpenEnum, Value
from bsadvise.wire.messages import CODED, TEXTS
from bsadvise.wire.plain import enum_prefix
from google.protobuf.descriptor import EnumValueDescriptor

_MODULES = (
    advice, caveats, commands, device, explanation, measurements, recommendation, request, task,
)  # fmt: skip
_FILES = [
    importlib.import_module(f"bsadvise.v1.{name}_pb2").DESCRIPTOR
    for name in ("advice", "device", "explanation", "measurement", "recommendation")
]
_MESSAGES = {name: one for file in _FILES for name, one in file.message_types_by_name.items()}
_ENUMS = {name: one for file in _FILES for name, one in file.enum_types_by_name.items()}
_UNIONS = {"Command", "Outcome", "Happening"}
_NOT_ON_THE_WIRE = {"Stage"}


def _classes_of(root: type) -> list[Any]:
    found = {
        item
        for module in _MODULES
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, root) and item.__module__ == module.__name__
    }
    return sorted(found, key=lambda item: item.__name__)


_VALUES = pytest.mark.parametrize("cls", _classes_of(Value), ids=lambda cls: cls.__name__)


def test_every_message_has_its_class_and_every_class_its_message() -> None:
    assert {cls.__name__ for cls in _classes_of(Value)} == set(_MESSAGES) - _UNIONS


@_VALUES
def test_a_message_has_the_fields_of_its_class(cls: Any) -> None:
    ours = {field.name for field in dataclasses.fields(cls)}
    assert set(_MESSAGES[cls.__name__].fields_by_name) == ours | (
        {CODED} if TEXTS in ours else set()
    )


@_VALUES
def test_what_a_message_may_leave_out_has_a_default_or_may_be_none(cls: Any) -> None:
    hints = typing.get_type_hints(cls)
    defaults = {f.name for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    for name, field in _MESSAGES[cls.__name__].fields_by_name.items():
        if name == CODED or not field.has_presence or field.message_type is not None:
            continue
        allows_none = isinstance(hints[name], types.UnionType) and type(None) in typing.get_args(
            hints[name]
        )
        assert allows_none or name in defaults, name


@pytest.mark.parametrize(
    "cls",
    [cls for cls in _classes_of(OpenEnum) if cls.__name__ not in _NOT_ON_THE_WIRE],
    ids=lambda cls: cls.__name__,
)
def test_an_enum_has_the_values_of_its_class(cls: type[OpenEnum]) -> None:
    prefix = enum_prefix(cls)
    values = _ENUMS[cls.__name__].values
    expected = {prefix + "UNSPECIFIED", *(prefix + member.name for member in cls)}
    assert {value.name for value in values if not _is_name_of_the_past(value)} == expected
    assert all(member.value == member.name.lower() for member in cls)


@pytest.mark.parametrize("enum", _ENUMS.values(), ids=lambda enum: str(enum.name))
def test_a_name_of_the_past_comes_after_the_one_that_replaced_it(enum: Any) -> None:
    seen: set[int] = set()
    for value in enum.values:
        assert _is_name_of_the_past(value) == (value.number in seen), value.name
        seen.add(value.number)


def _is_name_of_the_past(value: EnumValueDescriptor) -> bool:
    return bool(value.GetOptions().deprecated)
