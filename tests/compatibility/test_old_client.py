"""The client of a release with this daemon: its requests are answered as it can read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Train, TrialOrigin

from tests.compatibility.recordings import RELEASES, Call, calls_of, released_message
from tests.support.bench import Bench
from tests.support.builders import an_advice
from tests.support.scripted_planner import SCRIPT, ScriptedPlanner
from tests.support.server import Client, serving

_TRIAL = Train(
    time_limit_s=30.0,
    micro_batch_size=8,
    accumulation_steps=2,
    learning_rate=0.1,
    step_count=4,
    evaluation_batch_size=8,
    trial=1,
    origin=TrialOrigin.NEIGHBOUR,
)
_ADVICE = an_advice(caveats=(Caveat(code=CaveatCode.NOT_VERIFIED, text="Beware."),))


async def said_again(client: Client, call: Call, **changes: str) -> list[Any]:
    """Send a recorded call, its fields changed as they must be here; return the replies."""
    name = call.method.rpartition("/")[2]
    request_class, reply_class = (released_message(name + end) for end in ("Request", "Response"))

    async def requests() -> AsyncIterator[bytes]:
        for recorded in call.requests:
            request = request_class.FromString(recorded)
            for field, value in changes.items():
                setattr(request, field, value)
            yield request.SerializeToString()

    send: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = client.channel.stream_stream(
        call.method
    )
    return [reply_class.FromString(reply) async for reply in send(requests())]


@pytest.mark.parametrize("release", RELEASES)
async def test_the_calls_of_a_recommendation(release: str, tmp_path: Path) -> None:
    calls = {call.method.rpartition("/")[2]: call for call in calls_of(release)}
    planner = ScriptedPlanner((*SCRIPT, _TRIAL), _ADVICE)
    async with serving(Bench(tmp_path, planner=planner)) as client:
        (checked,) = await said_again(client, calls["CheckSource"])
        (uploaded,) = await said_again(client, calls["UploadSource"])
        (created,) = await said_again(client, calls["CreateRecommendation"])
        name = {"recommendation_id": created.recommendation.recommendation_id}
        watched = await said_again(client, calls["WatchRecommendation"], **name)
        (got,) = await said_again(client, calls["GetRecommendation"], **name)
        (listed,) = await said_again(client, calls["ListMeasurements"], **name)
        (devices,) = await said_again(client, calls["ListDevices"])
        (estimated,) = await said_again(client, calls["EstimateMemory"])

    assert checked.exists or uploaded.digest == created.recommendation.request.source.digest
    assert created.recommendation.request.budget_s == 20.0
    events = [reply.event for reply in watched if reply.HasField("event")]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    # As text: what is newer than the release is carried along unread, and may differ in order.
    assert str(events[-1].happening.state_changed.advice) == str(got.recommendation.advice)
    assert got.recommendation.state == 3  # SUCCEEDED
    assert got.recommendation.advice.effective_batch_size == _ADVICE.effective_batch_size
    assert got.recommendation.advice.caveats[0] == "Beware."
    assert len(listed.measurements) == len(SCRIPT) + 1
    assert listed.measurements[-1].command.train.origin == 3  # RIDGE
    assert devices.devices[0].device_id
    assert estimated.estimate.max_micro_batch_size > 0
