"""Whatever is sent, the daemon says what is wrong with it, and lives.

Calls to every method: messages of its own type with any values, other methods' messages, cut
and changed bytes, and no message at all.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from bsadvise.v1 import (
    device_service_pb2,
    memory_service_pb2,
    recommendation_service_pb2,
    source_service_pb2,
    token_service_pb2,
)
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bundles import digest_of
from tests.support.chaos import BUNDLE, Chaos
from tests.support.message_strategies import messages

METHODS: tuple[MethodDescriptor, ...] = tuple(
    method
    for module in (
        device_service_pb2,
        memory_service_pb2,
        recommendation_service_pb2,
        source_service_pb2,
        token_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)

ANSWERS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}

DEADLINE_S = 120.0
"""Far above what a call takes; one that hangs reaches it."""

MOST_GROWTH_BYTES = 32 << 20
"""Growth of the daemon once it is warm; in ten thousand calls, 3 KiB a call."""


def calls(known: dict[str, list[str]]) -> st.SearchStrategy[tuple[MethodDescriptor, list[bytes]]]:
    """Return methods, and the messages that one is called with."""
    return st.sampled_from(METHODS).flatmap(
        lambda method: st.tuples(
            st.just(method),
            st.lists(
                _bodies(method, known), min_size=0 if method.client_streaming else 1, max_size=3
            ),
        )
    )


def _bodies(method: MethodDescriptor, known: dict[str, list[str]]) -> st.SearchStrategy[bytes]:
    own = messages(method.input_type, known).map(lambda message: message.SerializeToString())
    other = st.sampled_from(METHODS).flatmap(
        lambda any_method: messages(any_method.input_type, known).map(
            lambda message: message.SerializeToString()
        )
    )
    cut = st.tuples(own, st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]])
    flipped = st.tuples(own, st.integers(0, 10_000), st.integers(1, 255)).map(_flip)
    return st.one_of(own, own, own, other, cut, flipped, st.binary(max_size=200))


def _flip(parts: tuple[bytes, int, int]) -> bytes:
    body, place, bits = parts
    if not body:
        return bytes([bits])
    place %= len(body)
    return body[:place] + bytes([body[place] ^ bits]) + body[place + 1 :]


def call(channel: Any, method: MethodDescriptor, bodies: list[bytes]) -> grpc.StatusCode:
    """Call a method with bytes, and return how that ended."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.client_streaming:
            channel.stream_unary(path)(iter(bodies), timeout=DEADLINE_S)
        elif method.server_streaming:
            list(channel.unary_stream(path)(bodies[0], timeout=DEADLINE_S))
        else:
            channel.unary_unary(path)(bodies[0], timeout=DEADLINE_S)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


@pytest.mark.timeout(3600)
def test_every_malformed_call_is_answered_for_what_it_is(tmp_path: Path, call_count: int) -> None:
    codes: Counter[grpc.StatusCode] = Counter()
    warm_bytes = 0
    with Chaos(tmp_path).daemon() as daemon:
        recommendation_id = daemon.create("known")
        list(daemon.watch(recommendation_id))  # to its end, so that every watch of it ends too
        process = psutil.Process(daemon.process.pid)
        known = {
            "recommendation_id": [recommendation_id],
            "request_id": ["known", "a", "b"],
            "digest": [digest_of(BUNDLE), digest_of(b"")],
            "entry_path": ["model.py", "other.py", "../model.py"],
            "device": ["cpu", "auto"],
        }

        @settings(
            max_examples=call_count,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(calls(known))
        def throw(called: tuple[MethodDescriptor, list[bytes]]) -> None:
            nonlocal warm_bytes
            code = call(daemon.channel, *called)
            codes[code] += 1
            assert code in ANSWERS, (called, code)
            if codes.total() == call_count // 2:
                warm_bytes = process.memory_info().rss

        throw()

        grown_bytes = process.memory_info().rss - warm_bytes
        answers = dict(sorted((code.name, count) for code, count in codes.items()))
        print(f"{answers}; {grown_bytes} bytes more than warm")  # noqa: T201 - the result
        assert call(daemon.channel, METHODS[0], [b""]) is grpc.StatusCode.OK
        assert daemon.process.poll() is None
    assert codes.total() >= call_count * 0.9
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > call_count / 10
    assert warm_bytes
    assert grown_bytes < MOST_GROWTH_BYTES
