"""What is old, too much or left behind goes; what is wanted stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bsadvise.model.advice import RefusalCode
from bsadvise.model.recommendation import LOCAL, Recommendation, State, StateChanged

from advisor.application.application import Application
from advisor.application.cancellation import Cancellation
from advisor.application.housekeeping import ROUND_S, UNUSED_S, Keep
from advisor.domain.access import LOCAL_CALLER
from advisor.domain.errors import NotFound, StoreUnavailable
from advisor.ports.store import Removed, Retention
from tests.support.bench import LEASE_S, Bench, create, end_of, until
from tests.support.builders import a_refusal
from tests.support.memory_store import MemoryStore

DAY_S = 86_400.0
INTERRUPTED = StateChanged(state=State.FAILED, refusal=a_refusal(code=RefusalCode.INTERRUPTED))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def removed(bench: Bench, kind: str) -> float | None:
    return bench.telemetry.registry.get_sample_value("bsadvise_removed_total", {"kind": kind})


async def test_what_ended_long_ago_is_removed(bench: Bench) -> None:
    bench.keep = Keep(days=30)
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await end_of(application, created)
        await application.housekeeping.work()
        bench.clock.advance(29 * DAY_S)
        assert (await application.housekeeping.work()).recommendation_count == 0
        bench.clock.advance(2 * DAY_S)

        assert (await application.housekeeping.work()).recommendation_count == 1

        with pytest.raises(NotFound):
            await bench.store.get(created.recommendation_id)
    assert removed(bench, "recommendations") == 1
    assert removed(bench, "sources") == 1
    assert list((bench.state_dir / "sources").iterdir()) == []


@pytest.mark.parametrize("is_at_boot", [True, False])
async def test_a_clock_far_ahead_makes_nothing_old(bench: Bench, is_at_boot: bool) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await end_of(application, created)
    restarted = bench.build()
    if not is_at_boot:
        await restarted.housekeeping.work()
    bench.clock.jump(10 * 365 * DAY_S)
    assert (await restarted.housekeeping.work()).recommendation_count == 0
    bench.clock.advance(89 * DAY_S)
    assert (await restarted.housekeeping.work()).recommendation_count == 0
    bench.clock.advance(2 * DAY_S)
    assert (await restarted.housekeeping.work()).recommendation_count == 1


async def test_too_many_are_removed_and_too_many_bytes(bench: Bench) -> None:
    bench.keep = Keep(count=2, source_bytes=0)
    async with bench.running() as application:
        request = await bench.request()
        for number in range(4):
            request = await bench.request(seed=number)
            await end_of(application, await create(application, request, f"{number}"))
        assert (await application.housekeeping.work()).recommendation_count == 2
        digest = request.source.digest
        assert await bench.store.has_source(digest, principal=LOCAL)  # used within the hour
        bench.clock.advance(UNUSED_S + 1)
        await application.housekeeping.work()
        assert not await bench.store.has_source(digest, principal=LOCAL)


async def _left(bench: Bench, application: Application) -> Recommendation:
    """Leave a recommendation with checkpoints, as a daemon that died does."""
    created = await create(application, await bench.request(), "left")
    assert await bench.store.claim("dead", lease_s=LEASE_S)
    application.housekeeping.workspace.make_checkpoint_dir(created)
    return created


async def test_checkpoints_stay_while_a_run_may_go_on_from_them(bench: Bench) -> None:
    application = bench.build()
    workspace = application.housekeeping.workspace
    left = await _left(bench, application)
    bench.clock.advance(2 * UNUSED_S)
    await application.housekeeping.work()
    assert workspace.checkpoint_dir(left).is_dir()

    await bench.store.finish(left.recommendation_id, "dead", INTERRUPTED)
    await application.housekeeping.work()
    assert workspace.checkpoint_dir(left).is_dir()

    await bench.store.delete(left.recommendation_id)
    await application.housekeeping.work()
    assert not workspace.checkpoint_dir(left).exists()
    assert removed(bench, "directories") == 2  # and its unpacked source


async def test_orphaned_directories_go_once_nobody_can_be_using_them(bench: Bench) -> None:
    application = bench.build()
    now_s = bench.clock.now_s()
    orphans = [
        bench.state_dir / "checkpoints" / "gone",
        bench.state_dir / "sources" / ("a" * 64),
        bench.state_dir / "sources" / ".new-abc",
        bench.state_dir / "scratch" / "tmpabc",
    ]
    for orphan in orphans:
        orphan.mkdir(parents=True)
        (orphan / "file").write_text("x")
        os.utime(orphan, (now_s, now_s))
    await application.housekeeping.work()
    assert all(orphan.is_dir() for orphan in orphans)
    bench.clock.advance(UNUSED_S + 1)

    await application.housekeeping.work()

    assert not any(orphan.exists() for orphan in orphans)


async def test_delete_takes_the_checkpoints_with_it(bench: Bench) -> None:
    application = bench.build()
    left = await _left(bench, application)
    await bench.store.finish(left.recommendation_id, "dead", INTERRUPTED)
    path = application.housekeeping.workspace.checkpoint_dir(left)
    assert path.is_dir()

    await application.recommendations.delete(LOCAL_CALLER, left.recommendation_id)

    assert not path.exists()


async def test_delete_leaves_the_checkpoints_of_an_equal_request(bench: Bench) -> None:
    application = bench.build()
    left = await _left(bench, application)
    await bench.store.finish(left.recommendation_id, "dead", INTERRUPTED)
    again = await create(application, left.request, "again")
    path = application.housekeeping.workspace.checkpoint_dir(again)

    await application.recommendations.delete(LOCAL_CALLER, left.recommendation_id)

    assert path.is_dir()


class _CountingStore(MemoryStore):
    prune_count = 0
    compact_count = 0

    async def prune(self, keep: Retention) -> Removed:
        self.prune_count += 1
        if self.prune_count == 1:
            raise StoreUnavailable("away")
        return await super().prune(keep)

    async def compact(self) -> None:
        self.compact_count += 1


async def test_it_is_done_again_and_again_and_compacts_only_when_idle(bench: Bench) -> None:
    bench.store = store = _CountingStore(bench.clock)
    application = bench.build()
    cancellations = application.queue._cancellations
    cancellations["busy"] = Cancellation()
    async with bench.housekept(application):
        for round_number in (1, 2, 3):
            await bench.clock.wait_for_sleepers()
            assert store.prune_count == round_number
            bench.clock.advance(ROUND_S)
            await until(lambda: store.prune_count > round_number)  # noqa: B023 - awaited at once
        await bench.clock.wait_for_sleepers()
        assert store.compact_count == 0
        cancellations.clear()
        await application.housekeeping.work()
        assert store.compact_count == 1
