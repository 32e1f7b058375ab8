"""Messages to values that may enter the daemon: within their limits, read strictly, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from bsadvise.wire import messages
from google.protobuf.message import Message

from advisor.domain.limits import FIELDS, Binary, Items, Limit, Number, Text
from advisor.serialization import STRICT

T = TypeVar("T")


class OutOfLimits(ValueError):
    """A message holds more than it may, or a figure that cannot be."""


def from_message(message: Message, cls: type[T]) -> T:
    """Return the value of a message of this release.

    Args:
        message: A message with the fields of ``cls``, or with one ``oneof`` of its members.
        cls: A dataclass, or a union of them.

    Raises:
        OutOfLimits: The message holds what no limit allows.
        ValueError: It does not describe such a value.
    """
    for path, complaint in violations(message):
        raise OutOfLimits(f"{path} {complaint}")
    return messages.from_message(message, cls, STRICT)


def violations(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each field that is out of its limits, and what is wrong with it.

    Looks at counts and lengths before it looks at what is counted, and converts nothing.
    """
    named = message.DESCRIPTOR.fields_by_name
    refused: set[str] = set()
    for name, limit in FIELDS.get(message.DESCRIPTOR.name, {}).items():
        if not named[name].has_presence or message.HasField(name):
            complaint = _complaint(limit, getattr(message, name))
            if complaint is not None:
                refused.add(name)
                yield _join(path, name), complaint
    for name, part in _parts(message):
        if name not in refused:
            yield from violations(part, _join(path, name))


def clip(message: Message) -> None:
    """Cut the texts and lists of a message to what they may hold.

    For who sends: an error's text may be of any length, and a training of any number of steps.
    """
    limits = FIELDS.get(message.DESCRIPTOR.name, {})
    for field, value in message.ListFields():
        limit = limits.get(field.name)
        if isinstance(limit, Text):
            setattr(message, field.name, value[: limit.most])
        elif isinstance(limit, Items):
            del value[limit.most :]
            if isinstance(limit.each, Text):
                value[:] = [text[: limit.each.most] for text in value]
    for _, part in _parts(message):
        clip(part)


def _parts(message: Message) -> Iterator[tuple[str, Message]]:
    """Yield the messages in a message's own fields, each with the name of its field."""
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in value if field.is_repeated else (value,):
                yield field.name, part


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _complaint(limit: Limit, value: Any) -> str | None:  # noqa: ANN401 - of any field
    match limit:
        case Number():
            return limit.complaint(value)
        case Text(most):
            return f"must have at most {most} characters" if len(value) > most else None
        case Binary(most):
            return f"must have at most {most} bytes" if len(value) > most else None
        case Items(most, each, key):
            if len(value) > most:
                return f"must hold at most {most}, not {len(value)}"
            if key is not None:
                return _first(key, value.keys()) or _first(each, value.values())
            return _first(each, value)


def _first(limit: Number | Text | None, items: Iterable[Any]) -> str | None:
    """Return what is wrong with the first of some items that is out of its limit."""
    if limit is None:
        return None
    return next((found for item in items if (found := _complaint(limit, item)) is not None), None)
