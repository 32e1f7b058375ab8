"""Messages on a byte stream: a four-byte big-endian length, then one protobuf message.

The fork server and its workers use blocking sockets, the daemon asyncio. Neither side trusts
the other to keep to the format: a length past the cap and bytes that do not parse are errors.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from advisor.domain.limits import most_bytes
from advisor.pipe.v1 import pipe_pb2

M = TypeVar("M", bound=Message)

PIPE_LOST_EXIT_CODE = 74
"""How a worker ends that can no longer write to its pipe; EX_IOERR of sysexits.h."""

STACKS_SIGNAL = signal.SIGRTMAX - 1
"""Upon it a worker, and what it has forked, write the stacks of their threads to the file for
stacks. A real-time signal: libraries use SIGUSR1 and its like for themselves."""

_HEADER = struct.Struct(">I")


class BadFrame(Exception):
    """The other side sent something that is not a frame, or one above the cap."""


class PipeClosed(Exception):
    """The other side is gone; what it may have begun to send is lost."""


def frame(message: Message) -> bytes:
    """Return a message as it goes on the stream.

    Raises:
        BadFrame: It is larger than the cap.
    """
    body = message.SerializeToString()
    _check_size(len(body), message)
    return _HEADER.pack(len(body)) + body


def receive(sock: socket.socket, message: M) -> M:
    """Fill ``message`` from the next frame of a blocking socket and return it.

    Raises:
        BadFrame: What came is not such a message.
        PipeClosed: The other side is gone.
    """
    header = _receive_exactly(sock, _HEADER.size)
    return _parse(_receive_exactly(sock, _body_bytes(header, message)), message)


def send_fork_request(
    sock: socket.socket, request: pipe_pb2.ForkRequest, fds: tuple[int, int, int, int]
) -> None:
    """Send a fork request and the file descriptors that go with it.

    Raises:
        OSError: The socket does not take it, whole and at once.
    """
    data = frame(request)
    if socket.send_fds(sock, [data], fds) != len(data):
        raise BlockingIOError("the fork server does not read its requests")


def receive_fork_request(sock: socket.socket) -> tuple[pipe_pb2.ForkRequest, list[int]]:
    """Return the next fork request of a blocking socket and its four file descriptors.

    Raises:
        BadFrame: What came is not a fork request, or not with four descriptors.
        PipeClosed: The other side is gone.
    """
    # The descriptors arrive with the first byte. Reading no further than the header keeps
    # those of a second request that is already waiting apart from these.
    header, fds, _, _ = socket.recv_fds(sock, _HEADER.size, 4)
    if not header:
        raise PipeClosed
    header += _receive_exactly(sock, _HEADER.size - len(header))
    request = pipe_pb2.ForkRequest()
    _parse(_receive_exactly(sock, _body_bytes(header, request)), request)
    if len(fds) != 4:
        raise BadFrame(f"a fork request came with {len(fds)} file descriptors, not 4")
    return request, fds


async def read(reader: asyncio.StreamReader, message: M) -> M:
    """Fill ``message`` from the next frame of a stream and return it.

    Raises:
        BadFrame: What came is not such a message.
        PipeClosed: The other side is gone.
    """
    try:
        header = await reader.readexactly(_HEADER.size)
        return _parse(await reader.readexactly(_body_bytes(header, message)), message)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise PipeClosed from error


def _body_bytes(header: bytes, message: Message) -> int:
    (size_bytes,) = _HEADER.unpack(header)
    _check_size(size_bytes, message)
    return int(size_bytes)


def _check_size(size_bytes: int, message: Message) -> None:
    name = message.DESCRIPTOR.name
    if size_bytes > most_bytes(name):
        raise BadFrame(f"a {name} of {size_bytes} bytes is above the limit of {most_bytes(name)}")


def _parse(body: bytes, message: M) -> M:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise BadFrame(f"not a {message.DESCRIPTOR.name}: {error}") from error
    return message


def _receive_exactly(sock: socket.socket, size_bytes: int) -> bytes:
    chunks = bytearray()
    while len(chunks) < size_bytes:
        chunk = sock.recv(size_bytes - len(chunks))
        if not chunk:
            raise PipeClosed
        chunks += chunk
    return bytes(chunks)
