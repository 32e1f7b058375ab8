"""Frames: what goes in comes out, and nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from advisor.domain.limits import most_bytes
from advisor.pipe.framing import (
    BadFrame,
    PipeClosed,
    frame,
    read,
    receive,
    receive_fork_request,
    send_fork_request,
)
from advisor.pipe.v1.pipe_pb2 import EnteringHook, ForkRequest

BAD_FRAMES = {
    "a length above the cap": struct.pack(">I", most_bytes("EnteringHook") + 1),
    "bytes that are no message": struct.pack(">I", 3) + b"\xff\xff\xff",
    "text that is not UTF-8": struct.pack(">I", 3) + b"\x0a\x01\xff",
}
CUT_FRAMES = {"nothing": b"", "half a header": b"\0\0", "half a body": b"\0\0\0\5ab"}


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


async def read_from(data: bytes, message: Message) -> Message:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read(reader, message)


@given(st.lists(st.text(max_size=50), max_size=5))
def test_both_sides_read_what_was_framed(hooks: list[str]) -> None:
    messages = [EnteringHook(hook=hook) for hook in hooks]
    data = b"".join(map(frame, messages))

    async def read_all() -> list[EnteringHook]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        return [await read(reader, EnteringHook()) for _ in hooks]

    assert asyncio.run(read_all()) == messages
    one, other = socket.socketpair()
    with one, other:
        one.sendall(data)
        assert [receive(other, EnteringHook()) for _ in hooks] == messages


@pytest.mark.parametrize("case", BAD_FRAMES)
async def test_what_is_no_frame_is_refused(
    case: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    data = BAD_FRAMES[case]
    with pytest.raises(BadFrame):
        await read_from(data, EnteringHook())
    ends[0].sendall(data)
    with pytest.raises(BadFrame):
        receive(ends[1], EnteringHook())


@pytest.mark.parametrize("case", CUT_FRAMES)
async def test_a_stream_that_ends_early_is_closed(
    case: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    data = CUT_FRAMES[case]
    with pytest.raises(PipeClosed):
        await read_from(data, EnteringHook())
    ends[0].sendall(data)
    ends[0].close()
    with pytest.raises(PipeClosed):
        receive(ends[1], EnteringHook())


def test_a_message_above_the_cap_is_not_framed() -> None:
    with pytest.raises(BadFrame, match="above the limit"):
        frame(EnteringHook(hook="x" * (most_bytes("EnteringHook") + 1)))


async def test_the_largest_message_passes_a_small_buffer() -> None:
    message = EnteringHook(hook="x" * (most_bytes("EnteringHook") - 10))
    one, other = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=one, limit=1024)
    with other:
        sending = asyncio.create_task(asyncio.to_thread(other.sendall, frame(message)))
        assert await read(reader, EnteringHook()) == message
        await sending
    writer.close()
    await writer.wait_closed()


def test_descriptors_stay_with_their_request(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    pipes = [os.pipe() for _ in range(2)]
    for worker_id, (read_end, write_end) in enumerate(pipes):
        fds = (read_end, write_end, write_end, write_end)
        send_fork_request(one, ForkRequest(worker_id=worker_id), fds)
    for worker_id, (read_end, write_end) in enumerate(pipes):
        request, received = receive_fork_request(other)
        assert request.worker_id == worker_id
        assert [os.fstat(fd).st_ino for fd in received] == [
            os.fstat(fd).st_ino for fd in (read_end, write_end, write_end, write_end)
        ]
        for fd in (*received, read_end, write_end):
            os.close(fd)


def test_a_fork_request_without_descriptors_is_refused(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ends[0].sendall(frame(ForkRequest(worker_id=1)))
    with pytest.raises(BadFrame, match="0 file descriptors"):
        receive_fork_request(ends[1])


def test_a_fork_request_that_nobody_reads_fails(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ends[0].setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            ends[0].send(b"x" * 4096)
    with pytest.raises(BlockingIOError):
        send_fork_request(ends[0], ForkRequest(worker_id=1), (0, 0, 0, 0))
