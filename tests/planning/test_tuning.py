"""Tuned numbers of the planner: documented, in the digest, in their ranges, and nowhere else."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
from bsadvise.model.measurements import TrainRun

from advisor.estimators.learning_curve import LearningCurveTuning
from advisor.estimators.memory_curve import MemoryCurveTuning
from advisor.estimators.noise_scale import NoiseScaleTuning
from advisor.estimators.scaling_tuning import ScalingTuning
from advisor.estimators.timing import StepTimeTuning
from advisor.estimators.training_curve import TrainingCurveTuning
from advisor.planning import tuning as package
from advisor.planning.evidence.log_view import LogView
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.trials.acquisition import Acquisition
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.trials import Trials
from advisor.planning.tuning.comparison import (
    LossLevelsTuning,
    RankingTuning,
    SeedVarianceTuning,
    TrialCurveTuning,
)
from advisor.planning.tuning.estimators import EstimatorsTuning
from advisor.planning.tuning.memory import (
    MemoryModelTuning,
    MemoryPlanTuning,
    MemorySavingsTuning,
)
from advisor.planning.tuning.suggestion import (
    AcquisitionTuning,
    NeighboursTuning,
    SuggestTuning,
)
from advisor.planning.tuning.throughput import ContentionTuning, TimingTuning
from advisor.planning.tuning.trials import (
    BatchSizesTuning,
    RangeTestStageTuning,
    RungScheduleTuning,
    TrialSearchTuning,
    TrialsTuning,
)
from advisor.planning.tuning.tuning import DEFAULT_TUNING, Tuning
from tests.planning.conftest import Begin
from tests.support.simulated_device import SimulatedDevice

_PLANNING = Path(package.__file__).parents[1]
_STAGES = ("answer", "command_runs", "data", "evidence", "memory", "throughput", "trials")

_CONSTANTS = {
    ("answer/batch_caveats.py", "_GHOST_BATCH_SIZE"): "From arXiv 1705.08741.",
    ("answer/explanation.py", "_LEVEL"): "The probability of all intervals of an answer.",
    ("answer/explanation.py", "_MOST_LOG"): "A bound that keeps a ratio a number.",
    ("answer/explanation.py", "_MOST_POINTS"): "How many points of a curve a figure shows.",
    ("answer/related_hyperparameters.py", "_MOST_GROWTH"): "From arXiv 1711.00489.",
    ("answer/related_hyperparameters.py", "_MOST_SHARE"): "From arXiv 1711.00489.",
    ("data/loading.py", "_ROUNDS_OF_A_TRIAL"): "Follows from how the worker times a loader.",
    ("evidence/budget.py", "_HOPPER_WORKSPACE_BYTES"): "PyTorch's own.",
    ("evidence/budget.py", "_WORKSPACE_BYTES"): "PyTorch's own.",
    ("throughput/energy.py", "_HOUR_S"): "A conversion of units.",
    ("trials/acquisition.py", "_ROUNDING"): "Follows from the digits that rates are rounded to.",
}
"""Numbers that may stay where they are used, each with its reason."""

_Path = tuple[str, ...]


def _leaves(value: object, path: _Path = ()) -> Iterator[_Path]:
    """Yield the names that lead to each number."""
    if not is_dataclass(value):
        yield path
        return
    for field in fields(value):
        yield from _leaves(getattr(value, field.name), (*path, field.name))


def _groups(value: object) -> Iterator[type]:
    """Yield the class of each group."""
    if is_dataclass(value):
        yield type(value)
        for field in fields(value):
            yield from _groups(getattr(value, field.name))


def _neighbours(number: object) -> Iterator[object]:
    """Yield other values of a number, of which at least one should be in range."""
    match number:
        case tuple():
            yield from ((*number[:-1], last) for last in _neighbours(number[-1]))
        case int():
            yield from (number + 1, number - 1)
        case float():
            yield from (1.01 * number, 0.99 * number)


def _changed(value: object, path: _Path) -> object:
    """Return a tuning in which one number is another that is in range."""
    if not path:
        raise LookupError("a group, not a number")
    old = getattr(value, path[0])
    others = iter((_changed(old, path[1:]),)) if path[1:] else _neighbours(old)
    for other in others:
        try:
            return replace(value, **{path[0]: other})  # type: ignore[type-var]
        except ValueError:
            continue
    raise LookupError(f"no other value of {path} is in range")


@pytest.mark.parametrize("path", list(_leaves(DEFAULT_TUNING)), ids=".".join)
def test_the_digest_changes_with_every_number(path: _Path) -> None:
    changed = _changed(DEFAULT_TUNING, path)
    assert isinstance(changed, Tuning)
    assert changed.digest() != DEFAULT_TUNING.digest()


@pytest.mark.parametrize("group", list(dict.fromkeys(_groups(DEFAULT_TUNING))))
def test_every_field_is_documented(group: type) -> None:
    lines = (group.__doc__ or "").partition("Attributes:")[2].splitlines()
    for field in fields(group):
        assert any(line.startswith(f"        {field.name}: ") for line in lines), field.name


def _numbers(module: ast.Module) -> Iterator[str]:
    """Yield the private names that a module assigns numbers to."""
    for statement in module.body:
        match statement:
            case ast.Assign(targets=targets, value=value) if _is_numeric(value):
                names = [name for target in targets for name in ast.walk(target)]
            case ast.AnnAssign(target=target, value=ast.expr() as value) if _is_numeric(value):
                names = list(ast.walk(target))
            case _:
                continue
        for name in names:
            if isinstance(name, ast.Name) and name.id.startswith("_"):
                yield name.id


def _is_numeric(value: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
        for node in ast.walk(value)
    )


def test_stages_have_no_numbers_of_their_own() -> None:
    found = {
        (f"{stage}/{file.name}", name)
        for stage in _STAGES
        for file in (_PLANNING / stage).glob("*.py")
        for name in _numbers(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert found == set(_CONSTANTS)


@pytest.mark.parametrize(
    "source", ["_A = 1", "_A, B = 1, 'x'", "_A: float = -0.5", "_A = {'x': (2.0,)}"]
)
def test_numbers_of_modules_are_found(source: str) -> None:
    assert list(_numbers(ast.parse(source))) == ["_A"]


@pytest.mark.parametrize("source", ["_A = True", "_A = 'x'", "A = 1", "def f():\n    _A = 1"])
def test_what_is_no_number_of_a_module_is_not(source: str) -> None:
    assert not list(_numbers(ast.parse(source)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: AcquisitionTuning(rate_steps_per_doubling=0),
        lambda: AcquisitionTuning(doublings_below_reference=-1),
        lambda: AcquisitionTuning(speed_power=0.0),
        lambda: AcquisitionTuning(max_multiplier_factor=0.9),
        lambda: BatchSizesTuning(min_trial_steps=0),
        lambda: BatchSizesTuning(trial_share=1.1),
        lambda: ContentionTuning(max_wait_share=0.0),
        lambda: LossLevelsTuning(max_trials=0),
        lambda: LossLevelsTuning(min_exponent=0.0),
        lambda: LossLevelsTuning(min_slope_power=7.0),
        lambda: LossLevelsTuning(min_slope_share=0.0),
        lambda: LossLevelsTuning(flat_slope_share=0.0),
        lambda: LossLevelsTuning(broken_rise_share=-0.1),
        lambda: MemoryModelTuning(misfit_factor=1.0),
        lambda: MemoryPlanTuning(min_traces=13),
        lambda: MemoryPlanTuning(calibration_divisor=0),
        lambda: MemoryPlanTuning(max_run_share=0.0),
        lambda: MemorySavingsTuning(second_size_factor=1),
        lambda: NeighboursTuning(batch_factor=1.0),
        lambda: RangeTestStageTuning(min_steps=121),
        lambda: RangeTestStageTuning(time_share=0.0),
        lambda: RangeTestStageTuning(min_rate_factor=1e4),
        lambda: RankingTuning(noise_penalty=-0.1),
        lambda: RankingTuning(trend_doublings=0.0),
        lambda: RankingTuning(backward_steps=0),
        lambda: RungScheduleTuning(min_evaluations=0),
        lambda: RungScheduleTuning(trials_share=0.0),
        lambda: RungScheduleTuning(horizons_per_budget=0.5),
        lambda: RungScheduleTuning(evaluation_share=-0.1),
        lambda: RungScheduleTuning(min_rung_s=0.0),
        lambda: RungScheduleTuning(evaluation_factor=1.0),
        lambda: SeedVarianceTuning(prior_deviation=0.0),
        lambda: SuggestTuning(sampler_rungs=0),
        lambda: SuggestTuning(distinct_batch_factor=0.9),
        lambda: SuggestTuning(max_expected_regret=math.nan),
        lambda: SuggestTuning(fallback_divisor=1.0),
        lambda: TimingTuning(first_size=0),
        lambda: TimingTuning(min_measure_s=0.0),
        lambda: TimingTuning(min_rate_share=1.1),
        lambda: TrialCurveTuning(reach_factor=0.9),
        lambda: TrialCurveTuning(informative_share=1.1),
        lambda: TrialCurveTuning(min_time_ratio=1.0),
        lambda: TrialSearchTuning(growths=(1.0,)),
        lambda: TrialSearchTuning(first_shares=()),
        lambda: TrialSearchTuning(max_leaders=0),
        lambda: TrialSearchTuning(target_slack=0.9),
        lambda: TrialSearchTuning(max_leader_gap=-0.1),
    ],
)
def test_what_would_break_the_mathematics_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must"):
        build()


@pytest.fixture
def view(begin: Begin) -> LogView:
    """Return a view of a log with a reference run, of other tunings than usual."""
    estimators = EstimatorsTuning(
        learning_curve=LearningCurveTuning(averaged_evaluations=2),
        memory_curve=MemoryCurveTuning(tolerance=0.01),
        noise_scale=NoiseScaleTuning(max_interval_factor=1.0001),
        scaling=ScalingTuning(max_noise_share=0.5),
        step_time=StepTimeTuning(knee_share=0.5),
        training_curve=TrainingCurveTuning(window_ratio=4.0),
    )
    curves = TrialCurveTuning(reach_factor=3.0)
    tuning = Tuning(estimators=estimators, trials=TrialsTuning(curves=curves))
    begun = begin(SimulatedDevice())
    *earlier, last = begun.log
    assert isinstance(last.outcome, TrainRun)
    assert last.outcome.gradient_norms is not None
    norms = replace(
        last.outcome.gradient_norms,
        small_squared_norms=(3.0, 3.5, 2.5, 3.2),
        big_squared_norms=(2.0, 2.2, 1.9, 2.1),
    )
    run = replace(last.outcome, train_losses=(2.0, 1.0), gradient_norms=norms)
    return replace(begun, log=(*earlier, replace(last, outcome=run)), tuning=tuning)


def test_what_is_read_from_a_log_has_the_tuning_of_its_view(view: LogView) -> None:
    (trial,) = view.model(Trials).all
    estimators = view.tuning.estimators
    assert trial.curve.tuning is estimators.learning_curve
    assert trial.training is not None
    assert trial.training.tuning is estimators.learning_curve
    # The mean over the last three quarters of two segments of losses 2 and 1.
    assert trial.training.losses[-1] == pytest.approx(4 / 3, rel=0.01)
    assert trial.reaches(2.9 * trial.end_s)
    assert not trial.reaches(3.1 * trial.end_s)
    assert view.step_times is not None
    assert view.step_times.tuning is estimators.step_time
    assert view.model(MemoryModel).curve.tuning is estimators.memory_curve


def test_fits_to_trials_have_the_tuning_of_their_view(view: LogView) -> None:
    batches = view.model(BatchSizes)
    usual = replace(view, tuning=DEFAULT_TUNING).model(BatchSizes)
    assert batches.noise_scale is not None
    assert usual.noise_scale is not None
    assert batches.noise_scale.interval is None
    assert usual.noise_scale.interval is not None
    assert Acquisition(view.model(Trials), batches).law.max_noise_share == 0.5
