"""A range test is asked for where the user names no rate, once, and is not needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from bsadvise.model.advice import Advice, Evidence
from bsadvise.model.commands import Command, RangeTest, Train
from bsadvise.model.measurements import Failed, Log, Measurement, RangeRun
from bsadvise.model.task import OptimizerFamily, TaskProfile

from advisor.estimators.range_test import RangeTestTuning
from advisor.planning.answer.caveats import caveats
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.trials.range_test import is_suggested, next_range_test, suggested_rate
from advisor.planning.tuning.estimators import EstimatorsTuning
from advisor.planning.tuning.tuning import Tuning
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_fault, a_profile, a_request, an_optimizer
from tests.support.simulated_device import SimulatedDevice

SGD = an_optimizer(optimizer_name="SGD", family=OptimizerFamily.SGD, default_learning_rate=1e-3)
LIMIT_BYTES = 1 << 30


def a_profile_without_rate(**changes: object) -> TaskProfile:
    defaults: dict[str, object] = {
        "optimizer": SGD, "reference_batch_size": 32, "reference_learning_rate": None,
    }  # fmt: skip
    return a_profile(**defaults | changes)


def a_simulated(**changes: object) -> SimulatedDevice:
    profile = a_profile_without_rate()
    return SimulatedDevice(**{"profile": profile, "sample_time_s": 2e-4, **changes})  # type: ignore[arg-type] # any field


def log_of(planner: RecommendationPlanner, simulated: SimulatedDevice) -> Log:
    """Return the log up to the first training."""
    log: Log = ()
    request = a_request(memory_limit_bytes=LIMIT_BYTES)
    for _ in range(60):
        plan = planner.plan(planner.read(request, (a_device(),), log))
        assert isinstance(plan, Commands)
        (command,) = plan.commands
        if isinstance(command, Train):
            return log
        log = (*log, simulated.measure(command))
    raise AssertionError("nothing is trained")


def before_test(log: Log) -> Log:
    return tuple(entry for entry in log if not isinstance(entry.command, RangeTest))


def view_of(log: Log, **changes: object) -> LogView:
    request = a_request(memory_limit_bytes=LIMIT_BYTES, **changes)
    return LogView(request, (a_device(),), log)


def with_profile(log: Log, **changes: object) -> Log:
    profile = a_profile_without_rate(**changes)
    return (replace(log[0], outcome=profile), *log[1:])


@pytest.fixture
def log(planner: RecommendationPlanner) -> Log:
    return log_of(planner, a_simulated())


def test_it_is_made_once_before_anything_is_trained(log: Log) -> None:
    (command,) = (entry.command for entry in log if isinstance(entry.command, RangeTest))
    assert command.micro_batch_size * command.accumulation_steps == 32
    assert command.smallest_learning_rate < 1e-3 < command.largest_learning_rate


def test_it_takes_a_small_share_of_the_budget(log: Log) -> None:
    (entry,) = (entry for entry in log if isinstance(entry.command, RangeTest))
    assert entry.wall_s <= 0.08 * a_request().budget_s


@pytest.mark.parametrize("fixed_time_s", [2e-3, 1e-2])
@pytest.mark.parametrize("gradient_noise", [0.5, 4.0])
def test_the_suggestion_is_near_the_best_rate(
    planner: RecommendationPlanner, gradient_noise: float, fixed_time_s: float
) -> None:
    simulated = a_simulated(gradient_noise=gradient_noise, fixed_time_s=fixed_time_s)
    suggested = suggested_rate(view_of(log_of(planner, simulated)))
    best = min(
        (2.0**-k for k in range(-1, 10)), key=lambda rate: simulated.loss_after_s(32, rate, 4.0)
    )
    assert suggested is not None
    assert 1 / 4 <= suggested / best <= 4


def test_the_suggestion_keeps_the_margin_of_its_view(log: Log) -> None:
    usual, wide = (
        Tuning(estimators=EstimatorsTuning(range_test=RangeTestTuning(rate_margin=margin)))
        for margin in (4.0, 40.0)
    )
    rate, lower = (suggested_rate(replace(view_of(log), tuning=t)) for t in (usual, wide))
    assert rate is not None
    assert lower == pytest.approx(rate / 10, rel=0.05)


def test_a_budget_shows_how_many_steps_are_taken(log: Log) -> None:
    early = before_test(log)
    counts = []
    for budget_s in (20.0, 40.0, 600.0):
        command = next_range_test(view_of(early, budget_s=budget_s))
        counts.append(command.step_count if command else 0)
    assert counts == sorted(counts)
    assert counts[-1] == 120


@pytest.mark.parametrize(
    "changes",
    [
        {"reference_learning_rate": 0.1},
        {"is_synthetic": True, "dataset_size": None, "evaluation_size": 0},
    ],
)
def test_tasks_that_need_none_get_none(log: Log, changes: dict[str, object]) -> None:
    early = before_test(log)
    assert next_range_test(view_of(early)) is not None
    assert next_range_test(view_of(with_profile(early, **changes))) is None


def test_requests_that_allow_none_get_none(log: Log) -> None:
    early = before_test(log)
    assert next_range_test(view_of(early, max_trials=0)) is None
    assert next_range_test(view_of(early, budget_s=1.0)) is None
    elsewhere = replace(a_device(), present=False)
    assert next_range_test(replace(view_of(early), devices=(elsewhere,))) is None
    assert next_range_test(view_of(log)) is None


@dataclass
class FailingRangeTest(SimulatedDevice):
    """A device on which every range test fails."""

    def measure(self, command: Command) -> Measurement:
        measurement = super().measure(command)
        if isinstance(command, RangeTest):
            return replace(measurement, outcome=Failed(fault=a_fault()))
        return measurement


def test_its_failure_costs_nothing_but_its_time(recommend: Recommend) -> None:
    simulated = FailingRangeTest(profile=a_profile_without_rate())
    answer, log = recommend(simulated)
    assert isinstance(answer, Advice)
    assert answer.lr_evidence is Evidence.MEASURED
    assert sum(isinstance(entry.command, RangeTest) for entry in log) == 1
    assert suggested_rate(view_of(log)) is None
    assert not is_suggested(view_of(log), 32, 1e-3)


def test_one_that_says_nothing_suggests_nothing(log: Log) -> None:
    flat = RangeRun(learning_rates=tuple(2.0**k for k in range(60)), train_losses=(1.0,) * 60)
    silent = tuple(
        replace(entry, outcome=flat) if isinstance(entry.command, RangeTest) else entry
        for entry in log
    )
    assert suggested_rate(view_of(log)) is not None
    assert suggested_rate(view_of(silent)) is None


def test_a_rate_that_rests_on_it_alone_is_said_to(log: Log) -> None:
    view = view_of(log)
    rate = suggested_rate(view)
    assert rate is not None
    told = [
        caveats(view, Choice(Split(b, 1, 1), eta, Evidence.RULE), Chooser(view))
        for b, eta in ((32, rate), (64, 2 * rate), (64, 7 * rate))
    ]
    assert [any("range test alone" in one.text for one in texts) for texts in told] == [
        True,
        True,
        False,
    ]
