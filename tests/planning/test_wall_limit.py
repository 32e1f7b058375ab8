"""All commands of a search end within one limit, whatever the request makes of their own."""

from __future__ import annotations

from bsadvise.model.commands import RecallAnswers, TimeSteps, Verify
from bsadvise.model.measurements import Log
from bsadvise.model.values import Unknown
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.planning.evidence.budget import wall_left_s, within_wall_limit
from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.tuning.tuning import DEFAULT_TUNING
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice

SECONDS = DEFAULT_TUNING.evidence.seconds


def search(effective_batch_size: int | None, budget_s: float) -> tuple[Log, float]:
    """Carry a search to its end, and return its log and the wall limit, in seconds."""
    planner = RecommendationPlanner(OptunaProposer())
    simulated = SimulatedDevice()
    request = a_request(
        memory_limit_bytes=simulated.limit_bytes,
        budget_s=budget_s,
        effective_batch_size=effective_batch_size,
    )
    limit_s = max(SECONDS.min_wall_limit_s, SECONDS.overtime_factor * budget_s)
    log: Log = ()
    for _ in range(300):
        view = planner.read(request, (a_device(),), log)
        plan = planner.plan(view)
        left_s = wall_left_s(view)
        assert 0 <= left_s <= limit_s
        if not isinstance(plan, Commands) or not left_s:
            return log, limit_s
        command = within_wall_limit(plan.commands[0], left_s)
        assert 0 < command.time_limit_s <= left_s
        log = (*log, simulated.measure(command))
    raise AssertionError("the plan does not end")


@given(exponent=st.none() | st.integers(3, 40), budget_s=st.floats(1.0, 600.0))
@settings(max_examples=15)
def test_no_command_may_outlast_the_limit_of_all(exponent: int | None, budget_s: float) -> None:
    log, limit_s = search(None if exponent is None else 1 << exponent, budget_s)
    assert log
    began_s = 0.0
    for entry in log:
        assert not isinstance(entry.command, RecallAnswers | Unknown)
        assert began_s + entry.command.time_limit_s <= limit_s * (1 + 1e-9)
        began_s += entry.wall_s


def test_a_batch_of_a_trillion_samples_is_not_verified_for_days() -> None:
    log, limit_s = search(1 << 40, 3.0)
    (verify,) = (entry.command for entry in log if isinstance(entry.command, Verify))
    assert verify.time_limit_s <= limit_s == SECONDS.min_wall_limit_s


def test_a_limit_that_is_short_enough_stays() -> None:
    command = TimeSteps(time_limit_s=30.0, micro_batch_size=8, measure_s=1.0)
    assert within_wall_limit(command, 31.0) == command
