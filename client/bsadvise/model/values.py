"""What all values of client and daemon can do.

The dataclasses give the wire's messages Python types, None for "not measured", and plain
dictionaries for JSON and YAML. That each class has just the fields of its message is tested.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, cast


class OpenEnum(StrEnum):
    """An enum that may meet a value of a newer release.

    Such a value is a pseudo-member named ``UNKNOWN``, as ``enum.Flag`` has them. It is equal to no
    known member, and in JSON it is "unknown(17)".
    """

    @classmethod
    def unknown(cls, said: int | str) -> Self:
        """Return the member for what this release does not know: a number, or a name."""
        return cls(f"unknown({said})")

    @classmethod
    def of(cls, value: str) -> Self:
        """Return the member with a value, the unknown one where there is none."""
        return cls(value) if value in cls._value2member_map_ else cls.unknown(value)

    @property
    def is_known(self) -> bool:
        """Whether this release knows the value."""
        return self.name != "UNKNOWN"

    @property
    def said(self) -> int | str:
        """What was said in place of a known value: its number, or its name."""
        text = self.value.removeprefix("unknown(").removesuffix(")")
        return int(text) if text.isdecimal() else text

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not (isinstance(value, str) and value.startswith("unknown(") and value.endswith(")")):
            return None
        member = str.__new__(cls, value)
        member._name_, member._value_ = "UNKNOWN", value
        return cast(Self, cls._value2member_map_.setdefault(value, member))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Tagged):
    """A member of a union that this release does not know.

    Attributes:
        kind: Its name; None where only the number of its field was sent.
        number: The number of its field; None where only the name was stored.
    """

    kind: str | None = None
    number: int | None = None

    @property
    def said(self) -> int | str:
        """What was said of it: its name, or the number of its field; 0 where it was left out."""
        return self.kind or self.number or 0


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
