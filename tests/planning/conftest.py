"""Runs whole recommendations against a simulated device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Train
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice

Recommend = Callable[..., tuple[Advice | Refusal, Log]]
Begin = Callable[..., LogView]


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
            plan = planner.plan(planner.read(request, (device,), log))
            if not isinstance(plan, Commands):
                return plan, log
            (command,) = plan.commands
            log = (*log, simulated.measure(command))
        raise AssertionError("the plan does not end")

    return run


@pytest.fixture
def begin(planner: RecommendationPlanner) -> Begin:
    """Return a function that carries a recommendation through its reference run."""

    def run(simulated: SimulatedDevice, **changes: object) -> LogView:
        request = a_request(memory_limit_bytes=simulated.limit_bytes, **changes)
        log: Log = ()
        while not (log and isinstance(log[-1].command, Train)):
            plan = planner.plan(planner.read(request, (a_device(),), log))
            assert isinstance(plan, Commands)
            log = (*log, *map(simulated.measure, plan.commands))
        return planner.read(request, (a_device(),), log)

    return run
