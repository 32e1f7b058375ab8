"""Domain values to and from protobuf messages whose fields have the same names.

The one bridge between the two: the worker's pipe and the public API both cross it. That every
message has just the fields of its class is tested, not hoped.
"""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from advisor.serialization import from_dict, to_dict, union_to_dict

M = TypeVar("M", bound=Message)
T = TypeVar("T")


def to_message(value: Any, message: M) -> M:  # noqa: ANN401 - any domain value
    """Fill ``message`` from a domain dataclass and return it."""
    return ParseDict(to_dict(value), message)


def union_to_message(value: Any, message: M) -> M:  # noqa: ANN401 - any member of a union
    """Fill ``message``, which holds one ``oneof``, from a member of a union; return it."""
    return ParseDict(union_to_dict(value), message)


def from_message(message: Message, cls: type[T]) -> T:
    """Return the domain value of a message.

    Args:
        message: A message with the fields of ``cls``, or with one ``oneof`` of its members.
        cls: A domain dataclass, or a union of them.

    Raises:
        ValueError: The message does not describe such a value.
    """
    try:
        data = MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    except ParseError as error:
        raise ValueError(str(error)) from error
    return from_dict(data, cls)
