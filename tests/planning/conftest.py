"""Runs whole recommendations against a simulated device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Train
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest

from advisor.planning.evidence.log_view import Facts
from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice

Recommend = Callable[..., tuple[Advice | Refusal, Log]]
Begin = Callable[..., Facts]


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


@pytest.fixture
def begin(planner: RecommendationPlanner) -> Begin:
    """Return a function that carries a recommendation through its trunk, up to its trials."""

    def run(simulated: SimulatedDevice, **changes: object) -> Facts:
        request = a_request(memory_limit_bytes=simulated.limit_bytes, **changes)
        log: Log = ()
        while not (log and isinstance(log[-1].command, Train)):
            step = planner.next_step(request, a_device(), log)
            assert not isinstance(step, Advice | Refusal)
            log = (*log, simulated.measure(step))
        return Facts(request, a_device(), log)

    return run
