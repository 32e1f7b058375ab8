"""A daemon that is killed in mid-search is succeeded by one that goes on, with real workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from bsadvise.v1 import recommendation_pb2, source_service_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb
from bsadvise.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from bsadvise.v1.source_service_pb2_grpc import SourceServiceStub

from tests.support.bundles import digest_of, raw_bundle
from tests.support.daemon_process import (
    EXIT_LIMIT_S,
    WATCH_LIMIT_S,
    start_daemon,
    wait_until_ready,
)
from tests.support.showing import owner_channel

MODEL = Path(__file__).parents[1] / "models" / "tiny_mlp.py"
BUNDLE = raw_bundle(("model.py", MODEL.read_bytes()))


def _create(channel: grpc.Channel) -> str:
    piece = source_service_pb2.UploadSourceRequest(digest=digest_of(BUNDLE), chunk=BUNDLE)
    SourceServiceStub(channel).UploadSource(iter((piece,)), timeout=EXIT_LIMIT_S)
    request = recommendation_pb2.AdviceRequest(
        source=recommendation_pb2.Source(digest=digest_of(BUNDLE), entry_path="model.py"),
        device="cpu",
        memory_limit_bytes=1 << 20,
        budget_s=20.0,
        max_trials=0,
    )
    response = RecommendationServiceStub(channel).CreateRecommendation(
        pb.CreateRecommendationRequest(request_id="one", request=request), timeout=EXIT_LIMIT_S
    )
    return response.recommendation.recommendation_id


def _watch(
    channel: grpc.Channel, recommendation_id: str, after_sequence: int
) -> Iterator[recommendation_pb2.Event]:
    request = pb.WatchRecommendationRequest(
        recommendation_id=recommendation_id, after_sequence=after_sequence
    )
    for response in RecommendationServiceStub(channel).WatchRecommendation(
        request, timeout=WATCH_LIMIT_S
    ):
        yield response.event


@pytest.mark.slow
def test_killed_in_mid_search_another_goes_on_from_its_log(tmp_path: Path) -> None:
    events: list[recommendation_pb2.Event] = []
    with start_daemon(tmp_path) as first, owner_channel(wait_until_ready(first)) as channel:
        recommendation_id = _create(channel)
        for event in _watch(channel, recommendation_id, 0):
            events.append(event)
            started = sum(e.happening.HasField("command_started") for e in events)
            if started == 4:  # and is under way
                break
        workers = psutil.Process(first.pid).children(recursive=True)
        first.kill()
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=EXIT_LIMIT_S)
    assert not alive

    with (
        start_daemon(tmp_path) as second,
        owner_channel(wait_until_ready(second)) as channel,
    ):
        events += _watch(channel, recommendation_id, events[-1].sequence)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    commands = [
        event.happening.measured.measurement.command.SerializeToString(deterministic=True)
        for event in events
        if event.happening.HasField("measured")
    ]
    assert len(commands) > 4
    assert len(set(commands)) == len(commands)
    assert events[-1].happening.state_changed.state == recommendation_pb2.STATE_SUCCEEDED
    assert events[-1].happening.state_changed.advice.verified
