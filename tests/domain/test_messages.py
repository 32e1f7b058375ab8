"""Each message of the contract has just the fields of the domain class of its name."""

from __future__ import annotations

import dataclasses
import importlib
from enum import StrEnum

import pytest
from bsadvise.model import advice, commands, device, measurements, recommendation, request, task
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor

from advisor.serialization import enum_prefix

_MODULES = (advice, commands, device, measurements, recommendation, request, task)
_FILES = ("advice", "device", "measurement", "recommendation")

# Kept by the daemon for itself, or told in another form.
_NOT_ON_THE_WIRE: set[str] = {"MemoryBudget"}
_DAEMON_FIELDS: dict[str, set[str]] = {}


def _file(name: str) -> FileDescriptor:
    descriptor = importlib.import_module(f"bsadvise.v1.{name}_pb2").DESCRIPTOR
    assert isinstance(descriptor, FileDescriptor)
    return descriptor


def _classes() -> dict[str, type]:
    return {
        name: value
        for module in _MODULES
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }


_MESSAGES: dict[str, Descriptor] = {
    name: message for f in _FILES for name, message in _file(f).message_types_by_name.items()
}
_ENUMS: dict[str, EnumDescriptor] = {
    name: enum for f in _FILES for name, enum in _file(f).enum_types_by_name.items()
}


@pytest.mark.parametrize(
    "cls",
    [c for c in _classes().values() if dataclasses.is_dataclass(c) and c.__name__ in _MESSAGES],
    ids=lambda cls: cls.__name__,
)
def test_a_message_has_the_fields_of_its_class(cls: type) -> None:
    ours = {field.name for field in dataclasses.fields(cls)}
    theirs = {field.name for field in _MESSAGES[cls.__name__].fields}
    assert theirs == ours - _DAEMON_FIELDS.get(cls.__name__, set())


@pytest.mark.parametrize(
    "cls", [c for c in _classes().values() if issubclass(c, StrEnum) and c.__name__ in _ENUMS]
)
def test_an_enum_has_the_values_of_its_class(cls: type[StrEnum]) -> None:
    prefix = enum_prefix(cls)
    expected = {prefix + "UNSPECIFIED", *(prefix + member.name for member in cls)}
    assert {value.name for value in _ENUMS[cls.__name__].values} == expected


def test_every_class_that_is_told_has_a_message() -> None:
    told = {c.__name__ for c in _classes().values() if dataclasses.is_dataclass(c)}
    assert told - _NOT_ON_THE_WIRE <= set(_MESSAGES)
