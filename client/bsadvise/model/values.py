"""What all values that the user sees can do.

The dataclasses give the wire's messages Python types, None for "not measured", and plain
dictionaries for JSON and YAML. That each class has just the fields of its message is tested.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast


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
        return snake_case(cls.__name__)


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


def snake_case(name: str) -> str:
    """Return a class's name in snake case: ``TraceMemory`` is ``trace_memory``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
