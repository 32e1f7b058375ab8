"""Messages to values that may enter the daemon: read strictly, and checked."""

from __future__ import annotations

from typing import TypeVar

from bsadvise.wire import messages
from google.protobuf.message import Message

from advisor.serialization import STRICT

T = TypeVar("T")


def from_message(message: Message, cls: type[T]) -> T:
    """Return the value of a message of this release.

    Args:
        message: A message with the fields of ``cls``, or with one ``oneof`` of its members.
        cls: A dataclass, or a union of them.

    Raises:
        ValueError: The message does not describe such a value.
    """
    return messages.from_message(message, cls, STRICT)
