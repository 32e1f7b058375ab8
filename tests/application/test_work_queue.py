"""The daemon's loop runs what waits, on several devices at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bsadvise.model.advice import RefusalCode
from bsadvise.model.recommendation import State

from advisor.application.instance_lock import InstanceLock
from advisor.application.work_queue import POLL_S
from advisor.domain.errors import StoreUnavailable
from advisor.ports.store import Claim
from tests.support.bench import Bench, create, end_of, until
from tests.support.fake_inventory import FakeInventory, make_gpu
from tests.support.memory_store import MemoryStore
from tests.support.scripted_planner import SCRIPT


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, inventory=FakeInventory(make_gpu(0), make_gpu(1)))


async def test_devices_work_side_by_side_and_one_at_a_time(bench: Bench) -> None:
    bench.pool.gate.clear()
    async with bench.running() as application:
        created = [
            await create(application, await bench.request(device=device, seed=seed), f"{seed}")
            for seed, device in enumerate(("cuda:0", "cuda:1", "cuda:0"))
        ]
        await until(lambda: bench.pool.open_session_count == 2)
        states = [(await bench.store.get(c.recommendation_id)).state for c in created]
        assert states == [State.RUNNING, State.RUNNING, State.QUEUED]
        bench.pool.gate.set()
        endings = [await end_of(application, c) for c in created]
    assert [ending.state for ending in endings] == [State.SUCCEEDED] * 3
    assert len(bench.pool.jobs) == 3


async def test_two_devices_that_are_alike_have_checkpoints_of_their_own(bench: Bench) -> None:
    bench.pool.gate.clear()
    async with bench.running() as application:
        created = [
            await create(application, await bench.request(device=device), device[-1])
            for device in ("cuda:0", "cuda:1")
        ]
        await until(lambda: bench.pool.open_session_count == 2)
        assert created[0].fingerprint == created[1].fingerprint
        assert len({job.checkpoint_dir for job in bench.pool.jobs}) == 2
        bench.pool.gate.set()
        for each in created:
            await end_of(application, each)


async def test_the_work_of_a_dead_daemon_is_found_by_polling(bench: Bench) -> None:
    async with bench.running() as application:
        await bench.clock.wait_for_sleepers()
        elsewhere = bench.build()  # its queue is not running
        created = await create(elsewhere, await bench.request(), "one")
        bench.clock.advance(POLL_S)
        assert (await end_of(application, created)).state is State.SUCCEEDED


class _FailingStore(MemoryStore):
    failures_left = 1

    async def claim(self, owner: str, *, lease_s: float) -> Claim | None:
        if self.failures_left:
            self.failures_left -= 1
            raise StoreUnavailable("away")
        return await super().claim(owner, lease_s=lease_s)


async def test_a_store_that_comes_back_is_asked_again(bench: Bench) -> None:
    bench.store = _FailingStore(bench.clock)
    created = await create(bench.build(), await bench.request(), "one")
    async with bench.running() as application:
        await bench.clock.wait_for_sleepers()
        bench.clock.advance(POLL_S)
        assert (await end_of(application, created)).state is State.SUCCEEDED


async def test_a_private_daemon_ends_what_another_left_and_goes_on_from_its_log(
    bench: Bench,
) -> None:
    bench.is_private = True
    bench.pool.gate.clear()
    application = bench.build()
    serving = asyncio.create_task(application.queue.serve())
    left = await create(application, await bench.request(), "first")
    await bench.pool.entered.wait()
    bench.pool.gate.set()
    await until(lambda: len(bench.pool.commands) == 4)
    serving.cancel()  # as kill -9 does: nothing is put back
    await asyncio.gather(serving, return_exceptions=True)
    done = await bench.store.log(left.recommendation_id)

    bench.dead_owners.add(bench.owner)
    bench.owner = "daemon-2"
    bench.clock.advance(60.0)
    async with bench.running() as application:
        ended = await end_of(application, left)
        assert ended.refusal is not None
        assert ended.refusal.code is RefusalCode.INTERRUPTED
        again = await create(application, await bench.request(), "second")
        ending = await end_of(application, again)

    log = await bench.store.log(again.recommendation_id)
    assert 0 < len(done) < len(SCRIPT)
    assert log[: len(done)] == done
    assert [entry.command for entry in log] == list(SCRIPT)
    assert ending.advice is not None
    assert ending.advice.search.probe_count == len(SCRIPT)
    assert not bench.pool.jobs[-1].checkpoint_dir.exists()


async def test_a_private_daemon_ends_what_was_put_back_before_its_time(bench: Bench) -> None:
    bench.is_private = True
    left = await create(bench.build(), await bench.request(), "first")
    bench.clock.advance(1.0)
    async with bench.running() as application:
        ended = await end_of(application, left)
    assert ended.state is State.FAILED
    assert not bench.pool.commands


async def test_a_private_daemon_runs_what_another_that_lives_may_wait_for(bench: Bench) -> None:
    bench.is_private = True
    waiting = await create(bench.build(), await bench.request(), "first")
    bench.clock.advance(1.0)
    with InstanceLock(bench.state_dir):
        async with bench.running() as application:
            assert (await end_of(application, waiting)).state is State.SUCCEEDED


def test_private_daemons_know_of_each_other_while_they_live(tmp_path: Path) -> None:
    with InstanceLock(tmp_path) as one:
        assert one.is_alone()
        with InstanceLock(tmp_path) as other:
            assert not one.is_alone()
            assert not other.is_alone()
        assert one.is_alone()


async def test_a_shared_daemon_runs_what_was_put_back_before_its_time(bench: Bench) -> None:
    left = await create(bench.build(), await bench.request(), "first")
    bench.clock.advance(1.0)
    async with bench.running() as application:
        assert (await end_of(application, left)).state is State.SUCCEEDED


async def test_an_equal_request_that_waited_is_answered_from_the_first(bench: Bench) -> None:
    async with bench.running() as application:
        first = await create(application, await bench.request(), "first")
        second = await create(application, await bench.request(), "second")
        ended = await end_of(application, first), await end_of(application, second)
    assert ended[1].advice is not None
    assert ended[1].advice.search.cache_hit
    assert len(bench.pool.commands) == len(SCRIPT)


async def test_without_the_cache_an_equal_request_is_measured_again(bench: Bench) -> None:
    async with bench.running() as application:
        for name in ("first", "second"):
            request = await bench.request(use_cache=False)
            await end_of(application, await create(application, request, name))
    assert bench.pool.commands == [*SCRIPT, *SCRIPT]
    assert len({job.checkpoint_dir for job in bench.pool.jobs}) == 2
