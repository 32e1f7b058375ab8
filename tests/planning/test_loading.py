"""The number of loader processes follows from what was timed, and from the processors."""

from __future__ import annotations

from typing import Any

import pytest
from bsadvise.model.commands import TimeLoader, TimeSteps
from bsadvise.model.device import Device
from bsadvise.model.measurements import LoaderTimes, StepTimes
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.data.loading import LoaderBottleneck, about_loader, loader_bottleneck
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from tests.support.builders import a_device, a_gpu, a_measurement, a_request, an_inspection

SIZE = 32
SPLIT = Split(SIZE, 1, 1)
COMPUTE_S = 0.1


def view_of(loading_s: float | None, *, device: Device | None = None, **profile: Any) -> LogView:
    """Return the log of a task whose step computes for 0.1 s and loads for ``loading_s``."""
    times = StepTimes(step_times_s=(COMPUTE_S,) * 3, optimizer_times_s=(0.0,) * 3)
    steps = TimeSteps(time_limit_s=60, micro_batch_size=SIZE, measure_s=1)
    log = [an_inspection(**profile), a_measurement(steps, times)]
    if loading_s is not None:
        loaded = LoaderTimes(batch_size=SIZE, batch_times_s=(loading_s,) * 3)
        loader = TimeLoader(time_limit_s=60, batch_size=SIZE, measure_s=1)
        log.append(a_measurement(loader, loaded))
    return LogView(a_request(), (device or a_gpu(),), tuple(log))


def bottleneck_of(
    loading_s: float | None, *, split: Split = SPLIT, device: Device | None = None, **profile: Any
) -> LoaderBottleneck | None:
    return loader_bottleneck(view_of(loading_s, device=device, **profile), split)


def workers_of(loading_s: float, **how: Any) -> int | None:
    found = bottleneck_of(loading_s, **how)
    assert found is not None
    return found.workers


@pytest.mark.parametrize(("num_workers", "loading_s"), [(0, 0.015), (2, 0.115), (2, 0.01)])
def test_a_loader_that_keeps_up_is_left_alone(num_workers: int, loading_s: float) -> None:
    assert bottleneck_of(loading_s, num_workers=num_workers, cpu_count=8) is None


def test_what_little_cannot_be_saved_is_not_told() -> None:
    assert bottleneck_of(0.1, cpu_count=1) is None


def test_a_loader_that_was_not_timed_is_left_alone() -> None:
    assert bottleneck_of(None, cpu_count=8) is None


def test_a_loop_that_loads_by_itself_waits_even_for_a_quick_loader() -> None:
    assert workers_of(0.05, cpu_count=8) == 1


def test_as_many_are_asked_for_as_computing_goes_into_loading() -> None:
    assert workers_of(0.35, cpu_count=64) == 4
    # Two needed 0.35 s together, so that one alone would need 0.7 s.
    assert workers_of(0.35, num_workers=2, cpu_count=64) == 7


def test_there_are_no_more_than_processors() -> None:
    found = bottleneck_of(1.0, cpu_count=4)
    assert found is not None
    assert found.workers == 3
    assert not found.is_mended
    assert "as many as there are processors for" in about_loader(found).text


def test_replicas_share_the_processors() -> None:
    assert workers_of(1.0, split=Split(SIZE, 1, 2), cpu_count=8) == 3


def test_one_processor_has_none_to_spare() -> None:
    found = bottleneck_of(1.0, cpu_count=1)
    assert found is not None
    assert found.workers is None
    assert "would not help" in about_loader(found).text


def test_more_of_what_there_are_already_is_not_advised() -> None:
    assert workers_of(1.0, num_workers=3, cpu_count=4) is None


def test_on_a_cpu_loading_takes_from_computing() -> None:
    assert workers_of(1.0, device=a_device(), cpu_count=4) == 3
    # Three load one in 0.05 s while all compute for 0.1 s: no less than 0.1375 s in all.
    assert workers_of(0.05, device=a_device(), cpu_count=4) == 1
    assert bottleneck_of(0.03, device=a_device(), cpu_count=2) is None


def test_steps_too_short_to_hand_a_batch_over_are_left_as_they_are() -> None:
    short = StepTimes(step_times_s=(2e-4,) * 3, optimizer_times_s=(0.0,) * 3)
    loaded = LoaderTimes(batch_size=SIZE, batch_times_s=(2e-4,) * 3)
    log = (
        an_inspection(cpu_count=8),
        a_measurement(TimeSteps(time_limit_s=60, micro_batch_size=SIZE, measure_s=1), short),
        a_measurement(TimeLoader(time_limit_s=60, batch_size=SIZE, measure_s=1), loaded),
    )
    assert loader_bottleneck(LogView(a_request(), (a_gpu(),), log), SPLIT) is None


@given(
    loading_s=st.floats(1e-4, 10),
    num_workers=st.integers(0, 8),
    cpu_count=st.none() | st.integers(1, 64),
)
def test_what_is_advised_is_possible_and_of_use(
    loading_s: float, num_workers: int, cpu_count: int | None
) -> None:
    view = view_of(loading_s, num_workers=num_workers, cpu_count=cpu_count)
    found = loader_bottleneck(view, SPLIT)
    now_s = StepCost(view).step_time_s(SPLIT)
    if now_s <= 1.2 * COMPUTE_S:
        assert found is None
    if loading_s > 1.2 * COMPUTE_S:
        assert found is not None
    if found is None or found.workers is None:
        return
    assert found.workers > num_workers
    assert cpu_count is None or found.workers < cpu_count
    alone_s = loading_s * max(1, num_workers)
    assert found.is_mended == (alone_s / found.workers <= COMPUTE_S * (1 + 1e-9))
    assert alone_s / found.workers < now_s
