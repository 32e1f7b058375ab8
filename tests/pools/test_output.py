"""What user code printed, as a person may read it."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator

import pytest

from advisor.pools.output import MOST_BYTES, TAIL_BYTES, Output, plain_text


@pytest.fixture
def output() -> Iterator[Output]:
    output = Output()
    yield output
    output.close()


def test_nothing_printed_is_none(output: Output) -> None:
    assert output.tail() is None
    os.write(output.fileno(), b" \n")
    assert output.tail() is None


def test_the_end_of_much_is_kept(output: Output) -> None:
    os.write(output.fileno(), b"start" + b"x" * TAIL_BYTES * 3 + b"end")
    tail = output.tail()
    assert tail is not None
    assert len(tail) == TAIL_BYTES
    assert tail.endswith("xend")


def test_what_follows_clearing_begins_anew(output: Output) -> None:
    os.write(output.fileno(), b"before")
    output.clear()
    os.write(output.fileno(), b"after")
    assert output.tail() == "after"


def test_what_a_worker_does_to_its_own_descriptor_is_its_own_matter(output: Output) -> None:
    os.write(output.fileno(), b"x" * 10_000 + b"end")
    flags = fcntl.fcntl(output.fileno(), fcntl.F_GETFL)
    fcntl.fcntl(output.fileno(), fcntl.F_SETFL, (flags | os.O_DIRECT) & ~os.O_APPEND)
    tail = output.tail()
    assert tail is not None
    assert tail.endswith("xend")
    output.trim()
    output.clear()
    assert output.tail() is None


def test_room_that_was_taken_beyond_the_end_is_let_go(output: Output) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    os.write(output.fileno(), b"end")
    keep_size, size = 1, ctypes.c_longlong(MOST_BYTES + (1 << 20))
    if libc.fallocate(output.fileno(), keep_size, ctypes.c_longlong(0), size):
        pytest.skip("this file system keeps no room for files")
    output.trim()
    assert os.fstat(output.fileno()).st_blocks * 512 <= 1 << 20
    assert output.tail() == "end"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("10%\r20%\r\nend", "10%\n20%\nend"),
        ("a\0b\x9bc\x7f", "a\ufffdb\ufffdc\ufffd"),
        ("né 模型 🙂\tx", "né 模型 🙂\tx"),
        ("a\u202eb\u200dc", "a\\u202eb\u200dc"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(raw: str, plain: str) -> None:
    assert plain_text(raw) == plain
