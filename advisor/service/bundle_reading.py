"""Reads uploaded bundles: what is in one is counted over its bytes before any of it is parsed."""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.request import MAX_BUNDLE_FILES
from bsadvise.v1 import source_service_pb2
from google.protobuf.message import DecodeError

from advisor.domain.errors import SourceRejected

_LENGTH_DELIMITED = 2
_FILES_FIELD = source_service_pb2.SourceBundle.FILES_FIELD_NUMBER
_LONGEST_VARINT = 10


def unpack_bundle(bundle: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the paths and contents in an uploaded bundle, one file at a time.

    A parsed empty file takes fifty times the two bytes that it is sent in, so that they are counted
    first, and parsed one by one.

    Raises:
        SourceRejected: The bytes are not a bundle's, or are of too many files.
    """
    try:
        for number, part in enumerate(_parts(memoryview(bundle))):
            if number == MAX_BUNDLE_FILES:
                raise SourceRejected(f"the bundle has more than {MAX_BUNDLE_FILES} files")
            file = source_service_pb2.SourceFile.FromString(bytes(part))
            yield file.path, file.content
    except (DecodeError, _Damaged) as error:
        raise SourceRejected("the upload is not a bundle of source files") from error


class _Damaged(Exception):
    """The bytes are not those of a message with files alone."""


def _parts(data: memoryview) -> Iterator[memoryview]:
    """Yield the bytes of each file: a bundle's message is nothing but fields of number 1."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        if key != _FILES_FIELD << 3 | _LENGTH_DELIMITED:
            raise _Damaged
        length, position = _varint(data, position)
        if length > len(data) - position:
            raise _Damaged
        yield data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return a number of protobuf's encoding, seven bits a byte, and where it ends."""
    value = 0
    for index, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _Damaged
