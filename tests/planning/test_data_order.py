"""Stored orders are compared once, cheaply, where trials follow; and only a caveat comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    TimeSteps,
    Train,
)
from bsadvise.model.measurements import (
    Failed,
    Log,
    Measurement,
    OrderComparison,
    Outcome,
    OutOfMemory,
    TimedOut,
)

from tests.planning.conftest import Recommend
from tests.support.builders import (
    a_device,
    a_fault,
    a_gpu,
    a_measurement,
    a_profile,
    a_request,
)
from tests.support.simulated_device import SimulatedDevice

FINDING = "in random order"

FEW_TRIALS = 2
"""Enough to compare orders for, which is done before the first."""


class Answering(SimulatedDevice):
    """A simulated device with one outcome for every comparison of orders."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self._outcome_of_comparison = outcome

    def measure(self, command: Command) -> Measurement:
        entry = super().measure(command)
        is_comparison = isinstance(command, CompareOrders)
        return replace(entry, outcome=self._outcome_of_comparison) if is_comparison else entry


def advice_of(recommend: Recommend, simulated: SimulatedDevice, **changes: Any) -> Advice:
    request = a_request(memory_limit_bytes=simulated.limit_bytes, max_trials=FEW_TRIALS, **changes)
    answer, _ = recommend(simulated, request)
    assert isinstance(answer, Advice)
    return answer


def comparisons(log: Log) -> list[CompareOrders]:
    return [entry.command for entry in log if isinstance(entry.command, CompareOrders)]


def test_orders_are_compared_once_before_anything_is_trained(recommend: Recommend) -> None:
    _, log = recommend(SimulatedDevice())
    kinds = [type(entry.command) for entry in log]
    assert kinds.count(CompareOrders) == 1
    place = kinds.index(CompareOrders)
    assert kinds.index(TimeSteps) < place < min(kinds.index(Evaluate), kinds.index(Train))


def test_a_stored_order_that_misleads_is_told(recommend: Recommend) -> None:
    advice = advice_of(recommend, SimulatedDevice(order_effect=20.0))
    assert advice.order_variance_ratio == pytest.approx(20, rel=1e-6)
    told = [caveat for caveat in advice.caveats if FINDING in caveat.text]
    assert len(told) == 1
    assert "shuffle=True" in told[0].text


@pytest.mark.parametrize("size", [None, 60_000])
def test_a_stream_that_misleads_is_said_to_have_misled_the_trials(
    recommend: Recommend, size: int | None
) -> None:
    stream = a_profile(dataset_size=size, is_stream=True)
    advice = advice_of(recommend, SimulatedDevice(profile=stream, order_effect=20.0))
    told = [caveat for caveat in advice.caveats if FINDING in caveat.text]
    assert len(told) == 1
    assert "trials saw them so" in told[0].text


def test_a_stored_order_that_will_do_is_not_told(recommend: Recommend) -> None:
    advice = advice_of(recommend, SimulatedDevice(order_effect=1.3))
    assert advice.order_variance_ratio == pytest.approx(1.3, rel=1e-6)
    assert not any(FINDING in caveat.text for caveat in advice.caveats)


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(fault=a_fault()),
        OutOfMemory(message="out of memory"),
        TimedOut(limit_s=10),
        OrderComparison(),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
def test_a_comparison_that_fails_changes_nothing_else(
    recommend: Recommend, outcome: Outcome
) -> None:
    usual = advice_of(recommend, SimulatedDevice())
    failing = Answering(outcome)
    advice = advice_of(recommend, failing)
    assert sum(isinstance(command, CompareOrders) for command in failing.commands) == 1
    assert advice.order_variance_ratio is None
    count = advice.search.out_of_memory_count
    assert replace(
        advice,
        order_variance_ratio=usual.order_variance_ratio,
        search=replace(advice.search, out_of_memory_count=0),
    ) == replace(usual, search=replace(usual.search, out_of_memory_count=0))
    assert count == isinstance(outcome, OutOfMemory)


def test_a_task_that_is_slow_to_load_has_its_orders_compared(recommend: Recommend) -> None:
    """On a busy machine, to import PyTorch takes most of 20 s."""
    simulated = SimulatedDevice(order_effect=20.0)
    request = a_request(memory_limit_bytes=simulated.limit_bytes, budget_s=20)
    inspection = a_measurement(InspectTask(time_limit_s=60), simulated.profile, wall_s=13)
    answer, log = recommend(simulated, request, log=(inspection,))
    assert isinstance(answer, Advice)
    assert len(comparisons(log)) == 1
    assert CaveatCode.STORED_ORDER_NOT_RANDOM in {caveat.code for caveat in answer.caveats}


def test_nothing_is_compared_where_nothing_is_trained(recommend: Recommend) -> None:
    made_up = a_profile(dataset_size=None, evaluation_size=0, is_synthetic=True)
    unjudged = a_profile(evaluation_size=0)
    absent = a_gpu(present=False, free_bytes=None)
    without_trials = a_request(memory_limit_bytes=1 << 30, max_trials=0)
    for _, log in (
        recommend(SimulatedDevice(profile=made_up)),
        recommend(SimulatedDevice(profile=unjudged)),
        recommend(SimulatedDevice(), a_request(), absent),
        recommend(SimulatedDevice(), without_trials),
    ):
        assert not comparisons(log)


def test_batches_shrink_with_the_pace_the_data_and_the_memory(recommend: Recommend) -> None:
    def compared(simulated: SimulatedDevice) -> list[int]:
        request = a_request(memory_limit_bytes=simulated.limit_bytes, max_trials=FEW_TRIALS)
        _, log = recommend(simulated, request, a_device())
        return [command.batch_size for command in comparisons(log)]

    quick = {"fixed_time_s": 1e-4, "sample_time_s": 1e-5}
    assert compared(SimulatedDevice(**quick)) == [32]  # type: ignore[arg-type] # times alone
    few = a_profile(dataset_size=300, evaluation_size=30, reference_batch_size=32)
    assert compared(SimulatedDevice(profile=few)) == [16]
    assert compared(SimulatedDevice(fixed_time_s=1e-4, sample_time_s=6e-4)) == [16]
    assert compared(SimulatedDevice(fixed_time_s=0.2)) == []
    assert compared(SimulatedDevice(limit_bytes=(50 + 20) << 20, optimizer_bytes=0)) == [16]


def test_a_comparison_takes_a_small_share_of_the_budget(recommend: Recommend) -> None:
    compared = 0
    for budget_s in (20.0, 60.0, 600.0):
        simulated = SimulatedDevice(fixed_time_s=5e-3)
        request = a_request(memory_limit_bytes=1 << 30, budget_s=budget_s, max_trials=FEW_TRIALS)
        _, log = recommend(simulated, request)
        for command in comparisons(log):
            passes = command.batch_count * (1 + command.shuffle_count)
            expected_s = passes * simulated.step_time_s(command.batch_size)
            assert expected_s <= min(1.0, 0.02 * budget_s)
            assert command.most_read_samples >= command.batch_size * command.batch_count
            compared += 1
    assert compared
