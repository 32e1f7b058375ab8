"""Commands and outcomes to and from their messages, with types that mypy can follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, cast

from bsadvise.model.commands import Command
from bsadvise.model.measurements import Outcome
from bsadvise.wire.messages import union_to_message
from google.protobuf.json_format import ParseError

from advisor.messages import clip, from_message
from advisor.pipe.v1 import pipe_pb2

T = TypeVar("T")

# A union is not a type[T] to mypy.
_COMMAND: Any = Command
_OUTCOME: Any = Outcome


def command_message(command_id: int, command: Command) -> pipe_pb2.NumberedCommand:
    """Return a command as it goes to a worker."""
    message = pipe_pb2.NumberedCommand(command_id=command_id)
    union_to_message(command, message.command)
    return message


def command_of(message: pipe_pb2.NumberedCommand) -> Command:
    """Return the command of a message. Raises ValueError when there is none."""
    return cast(Command, from_message(message.command, _COMMAND))


def outcome_message(command_id: int, outcome: Outcome) -> pipe_pb2.NumberedOutcome:
    """Return an outcome as it goes to the daemon, its texts and lists cut to what they may hold.

    Raises:
        ValueError: It holds what a message cannot: a float that is not finite, an integer of more
            than 64 bits.
    """
    message = pipe_pb2.NumberedOutcome(command_id=command_id)
    try:
        union_to_message(with_texts(outcome, _encodable), message.outcome)
    except ParseError as error:
        raise ValueError(str(error)) from error
    clip(message.outcome)
    return message


def outcome_of(message: pipe_pb2.NumberedOutcome) -> Outcome:
    """Return the outcome of a message.

    Raises:
        OutOfLimits: It holds more than it may, or a figure that cannot be.
        ValueError: There is none that makes sense.
    """
    return cast(Outcome, from_message(message.outcome, _OUTCOME))


def with_texts(value: T, function: Callable[[str], str]) -> T:
    """Return a value of ours with a function applied to each text in it."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return cast(T, function(value))
    if isinstance(value, tuple):
        return cast(T, tuple(with_texts(item, function) for item in value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: with_texts(getattr(value, field.name), function)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **fields)
    return value


def _encodable(text: str) -> str:
    """Return a text in characters that UTF-8 can carry; the user's may hold half a surrogate."""
    return text.encode(errors="backslashreplace").decode()
