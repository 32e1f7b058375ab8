"""Several commands at a time: what may be given together, and that every search ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Command, Train
from bsadvise.model.measurements import Log
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice

Pick = Callable[[int], int]
"""Which of so many running commands ends next."""


@dataclass
class Parallel:
    """A search on several devices, whose commands end in any order.

    Attributes:
        capacity: How many commands run at a time.
        pick: What ends next.
        changes: Of the request.
        most_at_once: The most that ran at the same time.
    """

    capacity: int
    pick: Pick
    changes: dict[str, float]
    most_at_once: int = 0
    planner: RecommendationPlanner = field(
        default_factory=lambda: RecommendationPlanner(OptunaProposer())
    )

    def search(self) -> tuple[Advice | Refusal, Log]:
        """Return the answer and the log, in which measurements stand as they ended."""
        simulated = SimulatedDevice()
        request = a_request(memory_limit_bytes=simulated.limit_bytes, **self.changes)
        running: list[Command] = []
        log: Log = ()
        for _ in range(600):
            view = self.planner.read(request, (a_device(),), log)
            plan = self.planner.plan(view, running, self.capacity - len(running))
            if not isinstance(plan, Commands):
                assert not running
                return plan, log
            self.check(plan, running)
            running.extend(plan.commands)
            self.most_at_once = max(self.most_at_once, len(running))
            command = running.pop(self.pick(len(running)))
            log += (simulated.measure(command),)
        raise AssertionError("the plan does not end")

    def check(self, plan: Commands, running: list[Command]) -> None:
        """Assert what holds of commands that run at the same time."""
        together = [*running, *plan.commands]
        assert together
        assert len(together) <= self.capacity
        if len(together) > 1:
            trainings = [command for command in together if isinstance(command, Train)]
            assert trainings == together
            numbers = [training.trial for training in trainings]
            assert None not in numbers
            assert len(set(numbers)) == len(numbers)
            new = [training for training in trainings if not training.rung]
            settings_ = {(t.effective_batch_size, t.learning_rate, t.replicate) for t in new}
            assert len(settings_) == len(new)


def rungs(log: Log) -> list[tuple[int | None, int, int]]:
    """Return trial, rung and replicate of every training."""
    trainings = (entry.command for entry in log if isinstance(entry.command, Train))
    return [(training.trial, training.rung, training.replicate) for training in trainings]


CHANGES = st.sampled_from(
    [{}, {"target_loss": 0.3}, {"target_loss": 0.06, "budget_s": 90.0}, {"max_trials": 4}]
)


@settings(max_examples=12, deadline=None)
@given(capacity=st.integers(1, 5), changes=CHANGES, data=st.data())
def test_a_search_ends_and_trains_no_rung_twice(
    capacity: int, changes: dict[str, float], data: st.DataObject
) -> None:
    def pick(count: int) -> int:
        return data.draw(st.integers(0, count - 1), label="ends next") if count > 1 else 0

    answer, log = Parallel(capacity, pick, changes).search()
    assert isinstance(answer, Advice)
    assert answer.verified
    done = rungs(log)
    assert len(set(done)) == len(done)
    if "max_trials" in changes:
        assert answer.search.trial_count <= changes["max_trials"]


def test_several_trials_run_at_the_same_time() -> None:
    parallel = Parallel(4, lambda _: 0, {"target_loss": 0.06, "budget_s": 120.0})
    answer, _ = parallel.search()
    assert isinstance(answer, Advice)
    assert parallel.most_at_once > 1


def test_one_at_a_time_is_what_a_plan_gives_by_default() -> None:
    alone = Parallel(1, lambda _: 0, {"target_loss": 0.3})
    _, log = alone.search()
    planner = alone.planner
    request = a_request(memory_limit_bytes=SimulatedDevice().limit_bytes, target_loss=0.3)
    for length, entry in itertools.islice(enumerate(log), 0, None, 5):
        view = planner.read(request, (a_device(),), log[:length])
        plan = planner.plan(view)
        assert isinstance(plan, Commands)
        assert list(plan.commands) == [entry.command]


def test_while_anything_else_than_a_trial_runs_there_is_nothing_to_begin() -> None:
    planner = RecommendationPlanner(OptunaProposer())
    view = planner.read(a_request(), (a_device(),), ())
    plan = planner.plan(view, capacity=3)
    assert isinstance(plan, Commands)
    assert len(plan.commands) == 1
    assert planner.plan(view, plan.commands, 3) == Commands()
    assert planner.plan(view, capacity=0) == Commands()
