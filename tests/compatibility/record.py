"""Records what a release's client and daemon say to each other, for the tests beside this file.

A proxy stands between the two and writes down the bytes of every call. With that release's own
Python:

    python -m advisor --socket /tmp/daemon.sock --state-dir /tmp/state &
    python record.py /tmp/daemon.sock model.py recorded/0.1.0.json
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import bsadvise
import grpc

_Method: TypeAlias = "grpc.aio.StreamStreamMultiCallable[bytes, bytes]"


class Proxy(grpc.GenericRpcHandler):
    """Passes every call on, and keeps its bytes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.calls: list[dict[str, Any]] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of any method, as one of streams on both sides."""
        method = handler_call_details.method

        async def passed_on(
            requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]
        ) -> AsyncIterator[bytes]:
            call: dict[str, Any] = {"method": method, "requests": [], "replies": []}
            self.calls.append(call)

            async def noted() -> AsyncIterator[bytes]:
                async for request in requests:
                    call["requests"].append(base64.b64encode(request).decode())
                    yield request

            pass_on: _Method = self._channel.stream_stream(method)
            async for reply in pass_on(noted()):
                call["replies"].append(base64.b64encode(reply).decode())
                yield reply

        return grpc.stream_stream_rpc_method_handler(passed_on)


async def _record(daemon_socket: str, model_path: str) -> list[dict[str, Any]]:
    async with grpc.aio.insecure_channel(f"unix:{daemon_socket}") as channel:
        proxy = Proxy(channel)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((proxy,))
        with tempfile.TemporaryDirectory() as folder:
            address = f"unix:{folder}/proxy.sock"
            server.add_insecure_port(address)
            await server.start()
            await asyncio.to_thread(_use, address, model_path)
            await server.stop(grace=1)
    return proxy.calls


def _use(address: str, model_path: str) -> None:
    """Make the calls of a recommendation, and the two beside it."""
    with bsadvise.Client(address) as client:
        created = client.create_recommendation(
            model_path, request_id="recorded", device="cpu", memory_limit_bytes=1 << 28, budget_s=20
        )
        for _ in client.watch(created.recommendation_id):
            pass
        client.get(created.recommendation_id)
        client.measurements(created.recommendation_id)
        client.devices()
        client.estimate_memory(model_path, device="a100-80gb")


if __name__ == "__main__":
    calls = asyncio.run(_record(sys.argv[1], sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(calls, indent=1) + "\n")
