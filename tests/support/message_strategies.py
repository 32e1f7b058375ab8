"""Messages that protobuf can carry, whether they make sense or not."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_INT32 = st.sampled_from([0, 1, -1, 7, 1000, 1001, 2**31 - 1, -(2**31)])
_INT64 = _INT32 | st.sampled_from([2**63 - 1, -(2**63), 1 << 40])
_DOUBLE = st.sampled_from([0.0, -0.0, -1.0, 1.0, 60.0, 1e308, 5e-324]) | st.floats()
_TEXT = st.sampled_from(
    [
        "",
        "cpu",
        "auto",
        "cuda:99999999999999999999",
        "../../etc/passwd",
        "/",
        "model.py",
        "a" * 64,
        "0" * 64,
        "\x00",
        "'; DROP TABLE recommendations; --",
        "%s%n{}",
        "x" * 10_000,
        "é" * 200,
        "\U0001f600",
        "YWZ0ZXI9MQ==",
    ]
) | st.text(max_size=20)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_DOUBLE: _DOUBLE,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=64),
    FieldDescriptor.TYPE_ENUM: st.sampled_from([0, 1, 2, 99, -1]),
}


def messages(descriptor: Descriptor, known: dict[str, list[str]]) -> st.SearchStrategy[Message]:
    """Return messages of a type, any of their fields set.

    Args:
        descriptor: The type.
        known: By a field's name, values that mean something to the server.
    """
    fields = {field.name: _values(field, known) for field in descriptor.fields}
    cls = GetMessageClass(descriptor)
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: cls(**values))


def _values(field: FieldDescriptor, known: dict[str, list[str]]) -> st.SearchStrategy[Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return st.dictionaries(_TEXT, _TEXT, max_size=3)
    if message is not None:
        one: st.SearchStrategy[Any] = messages(message, known)
    elif field.name in known:
        one = st.sampled_from(known[field.name]) | _SCALARS[field.type]
    else:
        one = _SCALARS[field.type]
    return st.lists(one, max_size=3) if field.is_repeated else one
