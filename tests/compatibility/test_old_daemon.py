"""This client with the daemon of a release: its recorded replies are read whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from bsadvise import AsyncClient
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import Train, TrialOrigin
from bsadvise.model.device import DeviceKind
from bsadvise.model.recommendation import Measured, State, StateChanged
from bsadvise.model.task import TaskProfile

from tests.compatibility.recordings import RELEASES, Replayer, calls_of


@asynccontextmanager
async def replaying(release: str) -> AsyncIterator[str]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Replayer(calls_of(release)),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


@pytest.mark.parametrize("release", RELEASES)
async def test_the_calls_of_a_recommendation(release: str, tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text("def build_model(): ...\n")
    async with replaying(release) as address, AsyncClient(address) as client:
        created = await client.create_recommendation(model)
        events = [event async for event in client.watch(created.recommendation_id)]
        ended = await client.get(created.recommendation_id)
        log = await client.measurements(created.recommendation_id)
        (device,) = await client.devices()
        estimate = await client.estimate_memory(model, device="a100-80gb")

    assert created.state is State.QUEUED
    assert created.request.budget_s == 20.0
    assert created.planner_version == ""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    happenings = [event.happening for event in events]
    assert tuple(h.measurement for h in happenings if isinstance(h, Measured)) == log
    assert isinstance(happenings[-1], StateChanged)
    assert happenings[-1].advice == ended.advice
    assert isinstance(log[0].outcome, TaskProfile)
    assert log[0].outcome.model_name == "Linear"
    origins = {entry.command.origin for entry in log if isinstance(entry.command, Train)}
    assert origins == {None, TrialOrigin.REFERENCE, TrialOrigin.SUGGESTED}
    assert ended.state is State.SUCCEEDED
    assert ended.advice is not None
    assert ended.advice.verified
    assert ended.advice.caveats
    assert {caveat.code for caveat in ended.advice.caveats} == {CaveatCode.UNSPECIFIED}
    assert device.kind is DeviceKind.CPU
    assert estimate.max_micro_batch_size > 0
    for value in (created, ended, device, estimate, *events, *log):
        assert "unknown(" not in json.dumps(value.to_dict(), allow_nan=False)
