"""Runs whole recommendations against a simulated device."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from advisor.domain.advice import Advice, Refusal
from advisor.domain.device import Device
from advisor.domain.measurements import Log
from advisor.domain.request import AdviceRequest
from advisor.planning.recommendation import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice

Recommend = Callable[..., tuple[Advice | Refusal, Log]]


@pytest.fixture
def planner() -> RecommendationPlanner:
    return RecommendationPlanner(OptunaProposer())


@pytest.fixture
def recommend(planner: RecommendationPlanner) -> Recommend:
    """Return a function that carries a recommendation to its end."""

    def run(
        simulated: SimulatedDevice,
        request: AdviceRequest | None = None,
        device: Device | None = None,
        log: Log = (),
    ) -> tuple[Advice | Refusal, Log]:
        request = request or a_request(memory_limit_bytes=simulated.limit_bytes)
        device = device or a_device()
        for _ in range(200):
            step = planner.next_step(request, device, log)
            if isinstance(step, Advice | Refusal):
                return step, log
            log = (*log, simulated.measure(step))
        raise AssertionError("the plan does not end")

    return run
