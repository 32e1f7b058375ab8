"""Of several cards that are elsewhere, each asks only what no other did."""

from __future__ import annotations

from pathlib import Path

import pytest
from bsadvise.model.commands import InspectTask
from bsadvise.model.measurements import Failed, MemoryParts, MemoryTrace, OutOfMemory
from bsadvise.model.token import Scope

from advisor.application.sharing import SharingPolicy
from advisor.application.trace_cache import TraceCache, is_lasting
from advisor.domain.access import LOCAL_CALLER, Caller
from advisor.domain.errors import NoAnswer
from tests.support.bench import BUNDLE, Bench
from tests.support.builders import a_device, a_fault, a_gpu, a_profile, a_request
from tests.support.fake_worker_pool import FakeWorkerPool

CARD = a_gpu(present=False, free_bytes=None)


async def test_an_estimate_for_a_card_elsewhere_is_measured_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    application = bench.build()
    for changes in ({}, {"margin_bytes": 1}, {"world_size": 2}):
        request = await bench.request(device="a100-80gb", **changes)
        await application.estimates.estimate(LOCAL_CALLER, request)
    assert len(bench.pool.commands) == 1
    other = await bench.request(device="a100-80gb", build_kwargs={"width": "3"})
    await application.estimates.estimate(LOCAL_CALLER, other)
    assert len(bench.pool.commands) == 2


@pytest.mark.parametrize(("is_shared", "count"), [(False, 2), (True, 1)])
async def test_what_one_was_told_another_is_told_where_answers_are_shared(
    tmp_path: Path, is_shared: bool, count: int
) -> None:
    bench = Bench(tmp_path, policy=SharingPolicy(cache_is_shared=is_shared))
    application = bench.build()
    request = await bench.request(device="a100-80gb")
    for principal in ("alice", "bob", "alice"):
        await bench.store.put_source(request.source.digest, BUNDLE, principal=principal)
        caller = Caller(principal=principal, scope=Scope.RUN)
        await application.estimates.estimate(caller, request)
    assert len(bench.pool.commands) == count


async def test_a_device_that_is_here_is_asked_each_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    application = bench.build()
    for _ in range(2):
        await application.estimates.estimate(LOCAL_CALLER, await bench.request())
    assert len(bench.pool.commands) == 2


async def test_a_failure_is_not_remembered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.pool = FakeWorkerPool(lambda *_: Failed(fault=a_fault()))
    application = bench.build()
    for _ in range(2):
        request = await bench.request(device="a100-80gb")
        with pytest.raises(NoAnswer):
            await application.estimates.estimate(LOCAL_CALLER, request)
    assert len(bench.pool.commands) == 2


def test_the_oldest_tasks_are_forgotten() -> None:
    trace_cache = TraceCache()
    command = InspectTask(time_limit_s=1)
    for seed in range(40):
        trace_cache.known("alice", a_request(seed=seed), CARD)[command] = a_profile()
    assert not trace_cache.known("alice", a_request(seed=0), CARD)
    assert trace_cache.known("alice", a_request(seed=39), CARD)
    assert not trace_cache.known("alice", a_request(seed=39), a_device())


def test_what_was_really_run_does_not_last() -> None:
    trace = MemoryTrace(peak_bytes=1, evaluation_peak_bytes=1, parts=MemoryParts())
    run = MemoryTrace(peak_bytes=1, evaluation_peak_bytes=1, parts=MemoryParts(), was_run=True)
    assert is_lasting(trace)
    assert is_lasting(a_profile())
    assert not is_lasting(run)
    assert not is_lasting(OutOfMemory(message=""))
