"""A log that a daemon left behind is gone on from, unless another version would go on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bsadvise.model.advice import RefusalCode
from bsadvise.model.measurements import Log, Measurement
from bsadvise.model.recommendation import Measured, State, StateChanged

from tests.support.bench import LEASE_S, Bench, create, end_of
from tests.support.builders import a_refusal
from tests.support.scripted_planner import SCRIPT, answer

INTERRUPTED = StateChanged(
    state=State.FAILED, refusal=a_refusal(code=RefusalCode.INTERRUPTED, message="gone")
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _log(bench: Bench, count: int) -> Log:
    return tuple(
        Measurement(command=command, outcome=answer(None, command), wall_s=1.5)  # type: ignore[arg-type]
        for command in SCRIPT[:count]
    )


async def _begin(bench: Bench, name: str, log: Log, *, ending: StateChanged | None) -> str:
    """Leave behind a recommendation with a log, ended so or left to its lease."""
    created = await create(bench.build(), await bench.request(), name)
    recommendation_id = created.recommendation_id
    assert await bench.store.claim("dead", lease_s=LEASE_S)
    for entry in log:
        await bench.store.append(recommendation_id, "dead", Measured(measurement=entry))
    if ending is not None:
        await bench.store.finish(recommendation_id, "dead", ending)
    return recommendation_id


def _checkpoints_of(bench: Bench, fingerprint: str) -> Path:
    return bench.state_dir / "checkpoints" / f"{fingerprint}.cpu"


async def test_an_adopted_log_comes_first_with_its_times(bench: Bench) -> None:
    await _begin(bench, "first", _log(bench, 2), ending=INTERRUPTED)
    async with bench.running() as application:
        created = await create(application, await bench.request(), "second")
        ending = await end_of(application, created)
    log = await bench.store.log(created.recommendation_id)
    assert [entry.command for entry in log] == list(SCRIPT)
    assert [entry.wall_s for entry in log] == [1.5, 1.5, 0.0, 0.0, 0.0]
    assert bench.pool.commands == list(SCRIPT[2:])
    assert ending.advice is not None
    assert ending.advice.search.wall_s == 3.0


async def test_an_adoption_that_was_itself_interrupted_goes_on(bench: Bench) -> None:
    await _begin(bench, "first", _log(bench, 3), ending=INTERRUPTED)
    second = await _begin(bench, "second", _log(bench, 1), ending=None)
    bench.dead_owners.add("dead")
    async with bench.running() as application:
        await end_of(application, await bench.store.get(second))
    log = await bench.store.log(second)
    assert [entry.command for entry in log] == list(SCRIPT)
    assert bench.pool.commands == list(SCRIPT[3:])


@pytest.mark.parametrize("are_there", [True, False])
async def test_a_log_whose_checkpoints_are_gone_is_not_adopted(
    bench: Bench, are_there: bool
) -> None:
    first = await _begin(bench, "first", _log(bench, 4), ending=INTERRUPTED)
    checkpoints = _checkpoints_of(bench, (await bench.store.get(first)).fingerprint)
    checkpoints.mkdir(parents=True)
    if not are_there:
        shutil.rmtree(checkpoints)
    async with bench.running() as application:
        created = await create(application, await bench.request(), "second")
        await end_of(application, created)
    assert bench.pool.commands == list(SCRIPT[4:] if are_there else SCRIPT)
    assert not checkpoints.exists()


async def test_without_the_cache_nothing_is_adopted(bench: Bench) -> None:
    await _begin(bench, "first", _log(bench, 2), ending=INTERRUPTED)
    async with bench.running() as application:
        request = await bench.request(use_cache=False)
        await end_of(application, await create(application, request, "second"))
    assert bench.pool.commands == list(SCRIPT)


@pytest.mark.parametrize(
    "change", [{"planner": "another"}, {"torch": "9.9"}, {"python": "3.99"}, {"optuna": None}]
)
async def test_what_another_version_began_is_begun_anew(
    bench: Bench, change: dict[str, str | None]
) -> None:
    recommendation_id = await _begin(bench, "first", _log(bench, 3), ending=None)
    before = await bench.store.get(recommendation_id)
    checkpoints = _checkpoints_of(bench, before.fingerprint)
    checkpoints.mkdir(parents=True)
    bench.dead_owners.add("dead")
    bench.versions = replace(bench.versions, **change)  # type: ignore[arg-type] # any field
    async with bench.running() as application:
        ending = await end_of(application, before)

    assert bench.pool.commands == list(SCRIPT)
    assert [entry.wall_s for entry in await bench.store.log(recommendation_id)] == [0.0] * 5
    assert not checkpoints.exists()
    after = await bench.store.get(recommendation_id)
    assert after.fingerprint != before.fingerprint
    assert ending.advice is not None
    assert ending.advice.fingerprint == after.fingerprint
    assert ending.advice.search.probe_count == len(SCRIPT)


async def test_a_version_does_not_adopt_the_interrupted_log_of_another(bench: Bench) -> None:
    await _begin(bench, "first", _log(bench, 2), ending=INTERRUPTED)
    bench.versions = replace(bench.versions, planner="another")
    async with bench.running() as application:
        await end_of(application, await create(application, await bench.request(), "second"))
    assert bench.pool.commands == list(SCRIPT)


async def test_what_waited_for_another_version_is_answered_under_this_one(bench: Bench) -> None:
    waiting = await create(bench.build(), await bench.request(), "first")
    bench.versions = replace(bench.versions, planner="another")
    async with bench.running() as application:
        await end_of(application, waiting)
        repeated = await create(application, await bench.request(), "second")
    assert repeated.advice is not None
    assert repeated.advice.search.cache_hit
    assert repeated.fingerprint != waiting.fingerprint
