"""What the answer says that a larger budget would buy."""

from __future__ import annotations

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from tests.planning.conftest import Recommend
from tests.support.builders import a_profile, a_request
from tests.support.simulated_device import SimulatedDevice

_SGD = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)


def _outlook(recommend: Recommend, **changes: object) -> str | None:
    profile = a_profile(optimizer=_SGD, reference_batch_size=32, reference_learning_rate=0.05)
    simulated = SimulatedDevice(profile=profile, fixed_time_s=0.02, sample_time_s=2e-4)
    request = a_request(memory_limit_bytes=simulated.limit_bytes, **changes)
    answer, _ = recommend(simulated, request)
    assert isinstance(answer, Advice)
    return answer.outlook


def test_a_search_that_converged_says_that_more_would_help_little(
    recommend: Recommend,
) -> None:
    outlook = _outlook(recommend, budget_s=2_000, target_loss=0.06)
    assert outlook is not None
    assert "the search converged" in outlook


def test_a_target_out_of_reach_gets_a_budget_that_would_reach_it(recommend: Recommend) -> None:
    outlook = _outlook(recommend, budget_s=20, target_loss=0.03)
    assert outlook is not None
    assert "would let the best trials reach the target loss 0.03" in outlook


def test_a_budget_that_ran_out_says_what_twice_of_it_would_do(recommend: Recommend) -> None:
    outlook = _outlook(recommend, budget_s=20)
    assert outlook is not None
    assert "A budget of 40 s" in outlook


@pytest.mark.parametrize("wall_factor", [1.2, 2.0, 3.0, 5.0])
def test_leaders_that_there_was_no_time_for_are_no_end_of_the_search(
    recommend: Recommend, wall_factor: float
) -> None:
    profile = a_profile(optimizer=_SGD, reference_batch_size=32, reference_learning_rate=0.05)
    simulated = SimulatedDevice(
        profile=profile, fixed_time_s=0.02, sample_time_s=2e-4, wall_factor=wall_factor
    )
    answer, _ = recommend(simulated, a_request(memory_limit_bytes=simulated.limit_bytes))
    assert isinstance(answer, Advice)
    assert answer.outlook is not None
    assert "the search converged" not in answer.outlook


def test_without_trials_there_is_nothing_to_say(recommend: Recommend) -> None:
    assert _outlook(recommend, max_trials=0) is None
