"""Values to and from protobuf messages whose fields have the same names.

That every message has just the fields of its class is tested, with one exception: what the values
have as ``caveats`` is two fields of a message, ``caveats`` with the texts alone for clients of
0.1, and ``coded_caveats`` with code and text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from bsadvise.wire.plain import Reader, to_plain, union_to_plain

if TYPE_CHECKING:
    # Protobuf has a descriptor class of its own for each of its back ends.
    from google._upb._message import FieldDescriptor as UpbField
    from google.protobuf.descriptor import FieldDescriptor

    _Field = FieldDescriptor | UpbField

M = TypeVar("M", bound=Message)
T = TypeVar("T")

TEXTS, CODED = "caveats", "coded_caveats"
_TOLERANT = Reader()


def to_message(value: object, message: M) -> M:
    """Fill ``message`` from a dataclass and return it.

    Raises:
        ParseError: It holds what a message cannot: a float that is not finite, half a surrogate
            pair, an integer of more than 64 bits.
    """
    return _fill(message, to_plain(value))


def union_to_message(value: object, message: M) -> M:
    """Fill ``message``, which holds one ``oneof``, from a member of a union; return it.

    Raises:
        ParseError: As for ``to_message``.
    """
    return _fill(message, union_to_plain(value))


def from_message(message: Message, cls: type[T], reader: Reader = _TOLERANT) -> T:
    """Return the value of a message.

    Args:
        message: A message with the fields of ``cls``, or with one ``oneof`` of its members.
        cls: A dataclass, or a union of them.
        reader: How to read it; unless given, as a client that may be older than the daemon.

    Raises:
        ValueError: The reader refuses the message; the one that is taken unless given never does.
    """
    return reader.read(message_to_plain(message), cls)


def message_to_plain(message: Message) -> dict[str, Any]:
    """Return what a message says, in the form of ``to_plain``."""
    data = {
        field.name: _read_field(getattr(message, field.name), field)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }
    if not data:
        # A oneof whose member is newer than this release: its field number is all that is known.
        unknown = UnknownFieldSet(message)
        data = {"unknown": {"number": unknown[0].field_number}} if len(unknown) else {}
    if CODED in data:
        texts = [{"text": text} for text in data[TEXTS]]
        data[TEXTS] = data.pop(CODED) or texts
    return data


def _read_field(value: Any, field: _Field) -> Any:  # noqa: ANN401 - of any field
    if isinstance(value, Mapping):
        return dict(value)
    if field.is_repeated:
        return [_read_item(item, field) for item in value]
    return _read_item(value, field)


def _read_item(item: Any, field: _Field) -> Any:  # noqa: ANN401 - of any field
    if isinstance(item, Message):
        return message_to_plain(item)
    if field.enum_type is not None:
        return _enum_names(field.enum_type).get(item, item)
    return item


@cache
def _enum_names(enum: Any) -> Mapping[int, str]:  # noqa: ANN401 - a descriptor of any back end
    """Return the first name of each number but 0; later ones are names of the past."""
    return {value.number: value.name for value in reversed(enum.values) if value.number}


def _fill(message: M, data: Mapping[str, Any]) -> M:
    # What is unknown here has no place in our messages: it is what a newer release said.
    return ParseDict(_with_coded(data), message, ignore_unknown_fields=True)


def _with_coded(data: Any) -> Any:  # noqa: ANN401 - any part of a dictionary
    if isinstance(data, list):
        return [_with_coded(item) for item in data]
    if not isinstance(data, Mapping):
        return data
    filled = {key: _with_coded(item) for key, item in data.items()}
    if isinstance(data.get(TEXTS), list):
        filled |= {CODED: data[TEXTS], TEXTS: [caveat["text"] for caveat in data[TEXTS]]}
    return filled
