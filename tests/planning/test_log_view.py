"""What a call of the planner builds: each model once, by one view of the log."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import pytest
from bsadvise.model.commands import Train

from advisor.planning.answer.choice import Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.acquisition import Acquisition
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.loss_levels import LossLevels
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.suggest import Suggester
from advisor.planning.trials.trial_search import TrialSearch
from advisor.planning.trials.trials import Trials
from advisor.planning.trials.wall_clock import WallClock
from advisor.planning.tuning.comparison import RankingTuning
from advisor.planning.tuning.trials import TrialsTuning
from advisor.planning.tuning.tuning import Tuning
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_request, an_inspection
from tests.support.simulated_device import SimulatedDevice

MODELS = (
    Acquisition,
    BatchSizes,
    Chooser,
    LossLevels,
    MemoryModel,
    Ranking,
    RungSchedule,
    StepCost,
    Suggester,
    TrialSearch,
    Trials,
    WallClock,
)


@contextmanager
def counting(*classes: type) -> Iterator[Counter[type]]:
    """Count what is built of some classes."""
    counts: Counter[type] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "__init__":
            counts[type(frame.f_locals["self"])] += 1

    sys.setprofile(note)
    try:
        yield counts
    finally:
        sys.setprofile(None)
        for cls in set(counts) - set(classes):
            del counts[cls]


@pytest.mark.parametrize("changes", [{}, {"target_loss": 0.06, "budget_s": 120.0}])
def test_no_model_is_built_twice_for_a_plan_and_the_best_so_far(
    recommend: Recommend, planner: RecommendationPlanner, changes: dict[str, float]
) -> None:
    simulated = SimulatedDevice()
    request = a_request(memory_limit_bytes=simulated.limit_bytes, **changes)
    _, log = recommend(simulated, request)
    seen: Counter[type] = Counter()
    for length in range(len(log) + 1):
        with counting(*MODELS) as counts:
            view = planner.read(request, (a_device(),), log[:length])
            planner.best_so_far(view)
            planner.plan(view)
        assert not [cls for cls, count in counts.items() if count > 1]
        seen |= counts
    assert set(seen) == set(MODELS)


def test_a_view_keeps_what_it_built_and_a_changed_one_builds_anew() -> None:
    view = LogView(a_request(), (a_device(),), (an_inspection(),))
    assert view.model(MemoryModel) is view.model(MemoryModel)
    limited = replace(view, request=a_request(memory_limit_bytes=1 << 20))
    assert limited.model(MemoryModel).budget_bytes < view.model(MemoryModel).budget_bytes


def test_only_sound_measurements_of_a_kind_are_entries(recommend: Recommend) -> None:
    _, log = recommend(SimulatedDevice())
    view = LogView(a_request(), (a_device(),), log)
    trainings = [entry for entry in log if isinstance(entry.command, Train)]
    assert [entry for _, entry in view.entries(Train)] == trainings
    assert trainings


def test_equal_tunings_have_one_digest_and_others_another() -> None:
    other = Tuning(trials=TrialsTuning(ranking=RankingTuning(noise_penalty=0.0)))
    assert Tuning().digest() == Tuning().digest() != other.digest()
    assert len(bytes.fromhex(Tuning().digest())) == 32
