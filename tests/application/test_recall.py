"""A search begins from what earlier answers about its task found, where it was asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bsadvise.model.commands import RecallAnswers
from bsadvise.model.measurements import Log, LogEstimate, Prior
from bsadvise.model.recommendation import Recommendation, State
from bsadvise.model.request import PriorScope

from advisor.application.application import Application
from advisor.planning.evidence.log_view import LogView
from tests.support.bench import Bench, create, end_of
from tests.support.scripted_planner import SCRIPT, ScriptedPlanner

FOUND = Prior(
    answer_count=1,
    critical_batch_size=LogEstimate(median=100.0, log_deviation=0.5),
    largest_rate=LogEstimate(median=0.5, log_deviation=0.5),
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, planner=ScriptedPlanner(prior=FOUND))


async def _answer(
    bench: Bench, application: Application, name: str, **changes: Any
) -> tuple[Recommendation, Log]:
    request = await bench.request(**changes)
    created = await create(application, request, name)
    await end_of(application, created)
    ended = await bench.store.get(created.recommendation_id)
    return ended, await bench.store.log(created.recommendation_id)


def _recalled(log: Log) -> Prior | None:
    return next((e.outcome for e in log if isinstance(e.outcome, Prior)), None)


async def test_the_prior_is_the_first_entry_of_the_log(bench: Bench) -> None:
    async with bench.running() as application:
        await _answer(bench, application, "one", seed=1)
        ended, log = await _answer(bench, application, "two", prior=PriorScope.PRINCIPAL)
    assert ended.state is State.SUCCEEDED
    assert isinstance(log[0].command, RecallAnswers)
    assert isinstance(log[0].outcome, Prior)
    assert log[0].outcome.answer_count == 1
    assert [entry.command for entry in log[1:]] == list(SCRIPT)
    assert all(not isinstance(command, RecallAnswers) for command in bench.pool.commands)


async def test_nothing_is_recalled_unless_asked_for(bench: Bench) -> None:
    async with bench.running() as application:
        await _answer(bench, application, "one", seed=1)
        _, log = await _answer(bench, application, "two")
    assert [entry.command for entry in log] == list(SCRIPT)


async def test_that_there_was_nothing_is_recorded_too(bench: Bench) -> None:
    async with bench.running() as application:
        _, log = await _answer(bench, application, "one", prior=PriorScope.PRINCIPAL)
    assert _recalled(log) == Prior(answer_count=0)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"build_kwargs": {"width": "9"}}, False),
        ({"seed": 5}, True),
        ({"budget_s": 7.0}, True),
        ({"world_size": 2}, True),
    ],
)
async def test_only_the_same_training_is_learned_from(
    bench: Bench, changes: dict[str, Any], *, is_same: bool
) -> None:
    async with bench.running() as application:
        await _answer(bench, application, "one", **changes)
        _, log = await _answer(bench, application, "two", prior=PriorScope.PRINCIPAL)
    prior = _recalled(log)
    assert prior is not None
    assert prior.answer_count == int(is_same)


async def test_the_same_request_asked_again_is_answered_from_the_cache(bench: Bench) -> None:
    async with bench.running() as application:
        await _answer(bench, application, "one", prior=PriorScope.PRINCIPAL)
        again, log = await _answer(bench, application, "two", prior=PriorScope.PRINCIPAL)
    assert log == ()
    assert again.advice is not None
    assert again.advice.search.cache_hit


async def test_what_was_remembered_is_not_counted_again(bench: Bench) -> None:
    async with bench.running() as application:
        await _answer(bench, application, "one", seed=1)
        await _answer(bench, application, "again", seed=1)
        _, log = await _answer(bench, application, "two", prior=PriorScope.PRINCIPAL)
    prior = _recalled(log)
    assert prior is not None
    assert prior.answer_count == 1


class _PlannerOfAnotherTime(ScriptedPlanner):
    def prior_from(self, view: LogView) -> Prior | None:
        raise KeyError(view.log[0].command)


async def test_an_old_log_that_cannot_be_read_does_not_end_the_search(bench: Bench) -> None:
    bench.planner = _PlannerOfAnotherTime()
    async with bench.running() as application:
        await _answer(bench, application, "one", seed=1)
        ended, log = await _answer(bench, application, "two", prior=PriorScope.PRINCIPAL)
    assert ended.state is State.SUCCEEDED
    assert _recalled(log) == Prior(answer_count=0)
