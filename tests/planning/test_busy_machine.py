"""What a busy machine changes: how long it takes, and nothing of the advice while there is time."""

from __future__ import annotations

from dataclasses import replace

from bsadvise.model.advice import Advice, Search
from bsadvise.model.commands import Train
from bsadvise.model.measurements import Log
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from tests.planning.conftest import Recommend
from tests.support.builders import a_profile, a_request
from tests.support.simulated_device import SimulatedDevice

_SGD = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)


def _recommend(recommend: Recommend, wall_factor: float) -> tuple[Advice, Log]:
    profile = a_profile(optimizer=_SGD, reference_batch_size=32, reference_learning_rate=0.05)
    simulated = SimulatedDevice(
        profile=profile, fixed_time_s=0.02, sample_time_s=2e-4, wall_factor=wall_factor
    )
    request = a_request(
        memory_limit_bytes=simulated.limit_bytes, target_loss=0.06, budget_s=600, seed=3
    )
    answer, log = recommend(simulated, request)
    assert isinstance(answer, Advice)
    return answer, log


def test_a_loaded_machine_gives_the_same_advice_as_an_idle_one(recommend: Recommend) -> None:
    idle, idle_log = _recommend(recommend, 1.0)
    bare = {"search": Search(), "outlook": None}

    def trainings(log: Log) -> list[Train]:
        return [replace(c, stop_after_s=None) for e in log if isinstance(c := e.command, Train)]

    for wall_factor in (1.3, 2.0):
        loaded, loaded_log = _recommend(recommend, wall_factor)
        assert sum(e.wall_s for e in loaded_log) > sum(e.wall_s for e in idle_log)
        assert trainings(loaded_log) == trainings(idle_log)
        assert replace(loaded, **bare) == replace(idle, **bare)  # type: ignore[arg-type] # two
