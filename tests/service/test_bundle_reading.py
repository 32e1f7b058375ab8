"""Bundles are counted before they are parsed, and read as protobuf would read them."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from bsadvise.v1.source_service_pb2 import SourceBundle, SourceFile
from hypothesis import given

from advisor.domain.errors import SourceRejected
from advisor.service.bundle_reading import unpack_bundle

FILES = st.lists(st.tuples(st.text(max_size=300), st.binary(max_size=300)), max_size=8)


@given(FILES)
def test_every_bundle_is_read(files: list[tuple[str, bytes]]) -> None:
    bundle = SourceBundle(files=[SourceFile(path=path, content=data) for path, data in files])
    assert list(unpack_bundle(bundle.SerializeToString())) == files


@given(st.binary(max_size=64))
def test_other_bytes_are_rejected_or_read(data: bytes) -> None:
    try:
        read = list(unpack_bundle(data))
    except SourceRejected:
        return
    assert [(file.path, file.content) for file in SourceBundle.FromString(data).files] == read


def test_a_bundle_of_empty_files_is_counted() -> None:
    with pytest.raises(SourceRejected, match="more than 10000 files"):
        for _ in unpack_bundle(b"\x0a\x00" * 10_001):
            pass


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05ab", b"\x12\x00", b"\x0a" + b"\xff" * 12, b"\x0a\x03\x0a\x01\xff"]
)
def test_what_is_damaged_is_rejected(data: bytes) -> None:
    with pytest.raises(SourceRejected, match="not a bundle"):
        list(unpack_bundle(data))
