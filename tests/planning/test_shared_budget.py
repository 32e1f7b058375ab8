"""A budget that is asked for as a share of the training's own time."""

from __future__ import annotations

import pytest
from bsadvise.model.horizon import LengthUnit, TrainingLength
from bsadvise.model.request import MOST_SHARED_BUDGET_S

from advisor.planning.planner import RecommendationPlanner
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_request
from tests.support.stated_lengths import LINEAR, advised, epochs, simulated_device

SHARED = {"budget_share": 0.05, "budget_s": MOST_SHARED_BUDGET_S, "schedule": LINEAR}


def test_it_is_that_share_of_the_modelled_time(
    recommend: Recommend, planner: RecommendationPlanner
) -> None:
    simulated = simulated_device()
    _, log = advised(recommend, simulated, train_for=epochs(90), **SHARED)
    request = a_request(train_for=epochs(90), **SHARED)
    own_s = 90 * 50_000 / 32 * simulated.step_time_s(32)
    budget_s = planner.read(request, (a_device(),), log).request.budget_s
    assert budget_s == pytest.approx(0.05 * own_s, rel=0.02)
    assert 0.5 * budget_s < sum(entry.wall_s for entry in log) <= budget_s


def test_until_steps_were_timed_it_is_the_usual_one(planner: RecommendationPlanner) -> None:
    request = a_request(train_for=epochs(90), **SHARED)
    assert planner.read(request, (a_device(),), ()).request.budget_s == 60
    length = TrainingLength(amount=6 * 3600.0, unit=LengthUnit.SECONDS)
    known = planner.read(a_request(train_for=length, **SHARED), (a_device(),), ())
    assert known.request.budget_s == pytest.approx(1080)


def test_it_never_passes_the_budget_in_seconds(planner: RecommendationPlanner) -> None:
    length = TrainingLength(amount=6 * 3600.0, unit=LengthUnit.SECONDS)
    request = a_request(train_for=length, budget_share=0.05, budget_s=100.0)
    assert planner.read(request, (a_device(),), ()).request.budget_s == 100


def test_of_a_stream_whose_epochs_are_unknown_it_is_the_usual_one(
    recommend: Recommend, planner: RecommendationPlanner
) -> None:
    simulated = simulated_device(dataset_size=None)
    _, log = advised(recommend, simulated, train_for=epochs(3), **SHARED)
    request = a_request(train_for=epochs(3), **SHARED)
    assert planner.read(request, (a_device(),), log).request.budget_s == 60
