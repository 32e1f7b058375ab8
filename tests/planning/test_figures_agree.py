"""Figures of one answer agree: intervals lie around them, alternatives come from the same model."""

from __future__ import annotations

import pytest
from bsadvise.model.advice import Advice, Alternative

from advisor.planning.answer.choice import Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_profile, a_request
from tests.support.simulated_device import SimulatedDevice


@pytest.mark.parametrize("step_s", [0.02, 2e-3, 1e-4])
@pytest.mark.parametrize("sample_s", [2e-4, 1e-6])
def test_figures_of_an_answer_agree(recommend: Recommend, step_s: float, sample_s: float) -> None:
    device = SimulatedDevice(
        profile=a_profile(reference_batch_size=32), fixed_time_s=step_s, sample_time_s=sample_s
    )
    request = a_request(memory_limit_bytes=device.limit_bytes)
    advice, log = recommend(device, request)
    assert isinstance(advice, Advice)
    assert advice.dataset_size == device.profile.dataset_size
    interval = advice.samples_per_s_interval
    assert advice.samples_per_s is not None
    assert interval is not None
    assert interval.low < advice.samples_per_s < interval.high
    view = LogView(request, (a_device(),), log)
    assert view.model(Chooser).choice is not None
    cost = view.model(StepCost)
    settings: tuple[Advice | Alternative, ...] = (advice, *advice.alternatives)
    for one in settings:
        split = Split(one.micro_batch_size, one.accumulation_steps, 1)
        assert one.samples_per_s == pytest.approx(
            one.effective_batch_size / cost.compute_time_s(split)
        )
