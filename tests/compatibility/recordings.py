"""What releases said, read back: their calls, and their messages by their own contract."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

RECORDED = Path(__file__).with_name("recorded")
RELEASED = Path(__file__).parents[2] / "protos" / "released.binpb"
RELEASES = sorted(path.stem for path in RECORDED.glob("*.json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: the path of its method, and the bytes that went each way."""

    method: str
    requests: tuple[bytes, ...]
    replies: tuple[bytes, ...]


def calls_of(release: str) -> list[Call]:
    """Return the calls of a recommendation, in order, and the two beside it."""
    return [
        Call(
            method=call["method"],
            requests=tuple(map(base64.b64decode, call["requests"])),
            replies=tuple(map(base64.b64decode, call["replies"])),
        )
        for call in json.loads((RECORDED / f"{release}.json").read_text())
    ]


@cache
def released_message(name: str) -> Any:
    """Return the class of a message of ``bsadvise.v1`` as the last release has it."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(RELEASED.read_bytes()).file:
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"bsadvise.v1.{name}"))


class Replayer(grpc.GenericRpcHandler):
    """Answers each call with the bytes of the next recorded one of the same method."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self.requests: list[tuple[str, bytes]] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method that was recorded; None for others."""
        method = handler_call_details.method
        call = next((call for call in self._calls if call.method == method), None)
        if call is None:
            return None
        self._calls.remove(call)

        async def replay(
            requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]
        ) -> AsyncIterator[bytes]:
            async for request in requests:
                self.requests.append((method, request))
            for reply in call.replies:
                yield reply

        return grpc.stream_stream_rpc_method_handler(replay)
