"""What holds of the setting in every answer, on devices and tasks drawn at random.

``BSADVISE_SEARCHES`` is how many searches there are; ``make nightly`` makes a thousand.
"""

from __future__ import annotations

import os
import random

import pytest
from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.request import AdviceRequest
from bsadvise.model.task import OptimizerFamily, OptimizerProfile
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.evidence.split import nearest_common_size
from tests.planning.conftest import Recommend
from tests.support.builders import a_profile, a_request
from tests.support.simulated_device import SimulatedDevice

_SEARCHES = int(os.environ.get("BSADVISE_SEARCHES", "8"))


def _drawn(seed: int) -> tuple[SimulatedDevice, AdviceRequest]:
    draw = random.Random(seed)
    family = draw.choice([OptimizerFamily.SGD, OptimizerFamily.ADAM])
    optimizer = OptimizerProfile(optimizer_name=family.name, family=family, momentum=0.0)
    profile = a_profile(
        optimizer=optimizer,
        reference_batch_size=draw.choice([None, 8, 20, 32, 100, 500]),
        reference_learning_rate=10 ** draw.uniform(-3, 0),
        batch_norm_layer_count=draw.choice([0, 0, 3]),
    )
    simulated = SimulatedDevice(
        profile=profile,
        fixed_time_s=10 ** draw.uniform(-3, -1),
        sample_time_s=10 ** draw.uniform(-5, -3),
        gradient_noise=10 ** draw.uniform(-1, 2),
    )
    request = a_request(
        memory_limit_bytes=simulated.limit_bytes,
        world_size=draw.choice([1, 1, 2, 3, 8]),
        budget_s=draw.choice([20.0, 60.0]),
        seed=seed,
    )
    return simulated, request


@pytest.mark.parametrize("seed", range(_SEARCHES))
def test_no_advice_is_beaten_by_its_alternatives_and_every_batch_is_common(
    recommend: Recommend, seed: int
) -> None:
    simulated, request = _drawn(seed)
    answer, _ = recommend(simulated, request)
    if isinstance(answer, Refusal):
        assert simulated.true_largest() < 2
        return
    assert not any(
        (one.relative_time or 1.0) < 1 and (one.relative_samples or 1.0) < 1
        for one in answer.alternatives
    )
    share = answer.effective_batch_size // request.world_size
    assert share == nearest_common_size(share) or _is_asked_for(answer, simulated, request)


def _is_asked_for(answer: Advice, simulated: SimulatedDevice, request: AdviceRequest) -> bool:
    """Return whether the batch is the recipe's, or as large as memory allows."""
    recipe = simulated.profile.reference_batch_size or 0
    nearest = max(1, round(recipe / request.world_size)) * request.world_size
    return (
        answer.effective_batch_size == nearest
        or answer.micro_batch_size == answer.max_micro_batch_size
    )


@given(size=st.floats(1, 1e6))
def test_a_common_size_is_near_and_a_multiple_of_what_kernels_like(size: float) -> None:
    common = nearest_common_size(size)
    assert abs(common - size) <= max(0.5, 4, size / 8)
    assert common < 16 or common % 8 == 0
    assert common < 512 or common % 64 == 0
    assert nearest_common_size(common) == common


@given(size=st.floats(1, 1e6), factor=st.floats(1, 100))
def test_a_larger_size_has_no_smaller_common_one(size: float, factor: float) -> None:
    assert nearest_common_size(size * factor) >= nearest_common_size(size)


@pytest.mark.parametrize(
    ("size", "common"), [(5.66, 6), (22.6, 24), (45.3, 48), (90.5, 96), (181, 192), (724, 768)]
)
def test_between_two_powers_of_two_people_use_multiples_of_eight(size: float, common: int) -> None:
    assert nearest_common_size(size) == common
