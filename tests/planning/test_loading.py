"""The number of loader processes follows from what was timed, and from the processors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import Command, TimeLoader, TimeSteps, Verify
from bsadvise.model.device import Device
from bsadvise.model.measurements import (
    Failed,
    Fault,
    FaultCode,
    LoaderTimes,
    Measurement,
    Outcome,
    OutOfMemory,
    StepTimes,
    TimedOut,
)
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.data.loader_findings import about_loader
from advisor.planning.data.loading import LoaderBottleneck, loader_bottleneck, next_loader_trial
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from tests.planning.conftest import Recommend
from tests.support.builders import (
    a_device,
    a_gpu,
    a_measurement,
    a_profile,
    a_request,
    an_inspection,
)
from tests.support.simulated_device import SimulatedDevice

SIZE = 32
SPLIT = Split(SIZE, 1, 1)
COMPUTE_S = 0.1
TIMING = TimeLoader(time_limit_s=60, batch_size=SIZE, measure_s=1)


def times_of(loading_s: float, **more: Any) -> LoaderTimes:
    return LoaderTimes(batch_size=SIZE, batch_times_s=(loading_s,) * 3, **more)


def view_of(
    loading_s: float | None,
    *,
    device: Device | None = None,
    share: float | None = 1.0,
    queued_s: float | None = 0.0,
    **profile: Any,
) -> LogView:
    """Return the log of a task whose step computes for 0.1 s and loads for ``loading_s``.

    ``share`` is what each process computes of the time in which it does not queue for a processor.
    """
    times = StepTimes(step_times_s=(COMPUTE_S,) * 3, optimizer_times_s=(0.0,) * 3)
    steps = TimeSteps(time_limit_s=60, micro_batch_size=SIZE, measure_s=1)
    log = [an_inspection(**profile), a_measurement(steps, times)]
    if loading_s is not None:
        own_s = loading_s * max(1, profile.get("num_workers", 0)) - (queued_s or 0.0)
        loaded = times_of(
            loading_s,
            processor_time_per_batch_s=None if share is None else share * own_s,
            processor_wait_per_batch_s=queued_s,
        )
        log.append(a_measurement(TIMING, loaded))
    return LogView(a_request(budget_s=600), (device or a_gpu(),), tuple(log))


def with_trial(view: LogView, outcome: Outcome, workers: int = 8) -> LogView:
    """Return the log after a number of processes was tried."""
    entry = a_measurement(replace(TIMING, num_workers=workers), outcome)
    return LogView(view.request, view.devices, (*view.log, entry))


def bottleneck_of(
    loading_s: float | None, *, split: Split = SPLIT, **how: Any
) -> LoaderBottleneck | None:
    return loader_bottleneck(view_of(loading_s, **how), split)


def workers_of(loading_s: float, **how: Any) -> int | None:
    found = bottleneck_of(loading_s, **how)
    assert found is not None
    return found.promising_workers


def text_of(view: LogView) -> str:
    caveat = about_loader(view, SPLIT)
    assert caveat is not None
    return caveat.text


@pytest.mark.parametrize(("num_workers", "loading_s"), [(0, 0.015), (2, 0.115), (2, 0.01)])
def test_a_loader_that_keeps_up_is_left_alone(num_workers: int, loading_s: float) -> None:
    view = view_of(loading_s, num_workers=num_workers, cpu_count=8)
    assert loader_bottleneck(view, SPLIT) is None
    assert about_loader(view, SPLIT) is None
    assert next_loader_trial(view, SPLIT) is None


def test_what_little_cannot_be_saved_is_not_told() -> None:
    assert bottleneck_of(0.1, cpu_count=1) is None


def test_a_loader_that_was_not_timed_is_left_alone() -> None:
    assert bottleneck_of(None, cpu_count=8) is None


def test_a_loop_that_loads_by_itself_waits_even_for_a_quick_loader() -> None:
    assert workers_of(0.05, cpu_count=8) == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, None])
def test_as_many_are_asked_for_as_computing_goes_into_loading(share: float | None) -> None:
    assert workers_of(0.35, cpu_count=64, share=share) == 4
    # Two needed 0.35 s together, so that one alone would need 0.7 s.
    assert workers_of(0.35, num_workers=2, cpu_count=64, share=share) == 7


def test_what_computes_has_no_more_than_processors() -> None:
    assert workers_of(1.0, cpu_count=4) == 4
    assert workers_of(1.0, cpu_count=8, split=Split(SIZE, 1, 2)) == 4


def test_what_waits_has_more_than_processors() -> None:
    for device in (a_gpu(), a_device()):
        assert workers_of(1.0, cpu_count=1, share=0.0, device=device) == 10
        assert workers_of(10.0, cpu_count=1, share=0.0, device=device) == 32
    # Half of it computes: 2 s on 2 processors, beside 0.1 s for the step itself.
    assert workers_of(4.0, cpu_count=2, share=0.5) == 4


def test_one_processor_has_none_to_spare() -> None:
    view = view_of(1.0, cpu_count=1)
    assert next_loader_trial(view, SPLIT) is None
    assert "would not help: they compute on all of 1 processor(s)" in text_of(view)


def test_more_of_what_there_are_already_is_not_tried() -> None:
    assert workers_of(1.0, num_workers=4, cpu_count=4) is None


def test_queueing_for_a_processor_is_no_waiting() -> None:
    # Eight processes on two processors: each queues for three quarters of its time.
    view = view_of(0.5, queued_s=3.0, num_workers=8, cpu_count=2)
    found = loader_bottleneck(view, SPLIT)
    assert found is not None
    assert found.computing_share == pytest.approx(1.0)
    assert found.promising_workers is None


def test_on_a_cpu_loading_takes_from_computing() -> None:
    assert workers_of(1.0, device=a_device(), cpu_count=4) == 3
    # Three load one in 0.05 s while all compute for 0.1 s: no less than 0.1375 s in all.
    assert workers_of(0.05, device=a_device(), cpu_count=4) == 1
    assert bottleneck_of(0.03, device=a_device(), cpu_count=2) is None


def test_steps_too_short_to_hand_a_batch_over_are_left_as_they_are() -> None:
    short = StepTimes(step_times_s=(2e-4,) * 3, optimizer_times_s=(0.0,) * 3)
    log = (
        an_inspection(cpu_count=8),
        a_measurement(TimeSteps(time_limit_s=60, micro_batch_size=SIZE, measure_s=1), short),
        a_measurement(TIMING, times_of(2e-4)),
    )
    assert loader_bottleneck(LogView(a_request(), (a_gpu(),), log), SPLIT) is None


def test_a_number_is_tried_once_before_it_is_advised() -> None:
    view = view_of(0.64, cpu_count=2, share=0.05)
    found = loader_bottleneck(view, SPLIT)
    assert found is not None
    assert found.advised_workers is None
    trial = next_loader_trial(view, SPLIT)
    assert trial == replace(TIMING, num_workers=7)
    after = with_trial(view, times_of(0.09), workers=7)
    assert next_loader_trial(after, SPLIT) is None
    tried = loader_bottleneck(after, SPLIT)
    assert tried is not None
    assert tried.advised_workers == 7
    # What the user has is what steps take; the trial does not change it.
    assert after.load_time_per_sample_s == view.load_time_per_sample_s
    assert text_of(after) == (
        "Training waits for its data loader: 640 ms for a step's samples, against 100 ms of "
        "computing. Loading computes 5% of its time and waits 95% of it (for a disk, the network "
        "or a lock). With num_workers=7, which was tried, loading takes 90 ms and a step about "
        "100 ms, not 740 ms. Computing is then the limit. The batch was chosen for the loader as "
        "it is: ask again with these workers. PyTorch's warning of more workers than processors is "
        "for loaders that compute."
    )


def test_where_the_shares_are_not_known_nothing_is_tried() -> None:
    view = view_of(1.0, share=None, cpu_count=8)
    assert next_loader_trial(view, SPLIT) is None
    assert "that was not tried" in text_of(view)


def test_of_a_slow_loader_smaller_batches_are_tried() -> None:
    view = view_of(64.0, share=0.0, cpu_count=8)
    trial = next_loader_trial(view, SPLIT)
    assert trial is not None
    # A tenth of 600 s is enough for four rounds of 15 s each.
    assert trial.batch_size == int(SIZE * 15 / 64)
    assert next_loader_trial(view_of(1e4, share=0.0, cpu_count=8), SPLIT) is None


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (times_of(0.25), "a step about 250 ms, not 740 ms. Training still waits."),
        (times_of(0.63), "gains little: the workers wait for one another."),
        (times_of(0.08, is_stream_repeated=True), "each worker reads the whole stream"),
        (Failed(fault=Fault(code=FaultCode.PROCESS_DIED, message="It died.")), "(It died.)"),
        (OutOfMemory(message="no more"), "it ran out of memory."),
        (TimedOut(limit_s=60), "it did not end in time."),
    ],
)
def test_what_came_of_the_trial_is_told(outcome: Outcome, words: str) -> None:
    view = with_trial(view_of(0.64, cpu_count=8, share=0.05), outcome)
    found = loader_bottleneck(view, SPLIT)
    assert found is not None
    assert (found.advised_workers == 8) is (outcome == times_of(0.25))
    assert next_loader_trial(view, SPLIT) is None
    assert words in text_of(view)


def test_workers_that_compute_are_told_to_compete() -> None:
    queueing = times_of(0.63, processor_time_per_batch_s=1.2, processor_wait_per_batch_s=3.7)
    view = with_trial(view_of(0.64, cpu_count=2), queueing)
    assert "the workers compete for all of 2 processor(s)" in text_of(view)


@given(
    loading_s=st.floats(1e-4, 10),
    share=st.none() | st.floats(0, 1),
    num_workers=st.integers(0, 8),
    cpu_count=st.none() | st.integers(1, 64),
)
def test_what_is_tried_is_possible_and_should_be_of_use(
    loading_s: float, share: float | None, num_workers: int, cpu_count: int | None
) -> None:
    view = view_of(loading_s, share=share, num_workers=num_workers, cpu_count=cpu_count)
    found = loader_bottleneck(view, SPLIT)
    now_s = StepCost(view).step_time_s(SPLIT)
    if now_s <= 1.2 * COMPUTE_S:
        assert found is None
    if loading_s > 1.2 * COMPUTE_S:
        assert found is not None
    if found is None or found.promising_workers is None:
        assert next_loader_trial(view, SPLIT) is None
        return
    workers = found.promising_workers
    assert num_workers < workers <= 32
    alone_s = loading_s * max(1, num_workers)
    assert alone_s / workers < now_s
    computing_share = 1.0 if share is None else share
    # No more compute at once than there are processors for, but for one that fills the last.
    assert cpu_count is None or computing_share * (workers - 1) < cpu_count + 1e-9


@given(share=st.floats(0, 1), other=st.floats(0, 1), cpu_count=st.integers(1, 64))
def test_the_more_a_loader_waits_the_more_processes_are_promising(
    share: float, other: float, cpu_count: int
) -> None:
    less, more = sorted((share, other))
    fewer, most = (workers_of(2.0, share=s, cpu_count=cpu_count) or 0 for s in (more, less))
    assert fewer <= most


@pytest.mark.parametrize(
    ("how", "advised"),
    [
        ({"load_computing_share": 0.0}, 10),
        ({"load_computing_share": 0.0, "most_loading": 3}, 10),
        ({"load_computing_share": 0.0, "most_loading": 1}, None),
        ({"load_computing_share": 1.0}, 3),
    ],
)
def test_a_search_tries_the_number_before_it_verifies(
    recommend: Recommend, how: dict[str, Any], advised: int | None
) -> None:
    """A loader takes 2 ms a sample and computing 0.2 ms, of one batch alone, on four processors."""
    device = SimulatedDevice(
        profile=a_profile(cpu_count=4),
        fixed_time_s=0.0,
        sample_time_s=2e-4,
        load_time_s=2e-3,
        **how,
    )
    request = a_request(memory_limit_bytes=device.limit_bytes, effective_batch_size=64)
    advice, _ = recommend(device, request)
    assert isinstance(advice, Advice)
    assert advice.loader_workers == advised
    *_, trial, verification = device.commands
    assert isinstance(trial, TimeLoader)
    assert trial.num_workers == (advised or 10)
    assert isinstance(verification, Verify)
    assert sum(isinstance(command, TimeLoader) for command in device.commands) == 2


def test_a_search_does_not_try_what_cannot_help(recommend: Recommend) -> None:
    device = SimulatedDevice(profile=a_profile(cpu_count=1), sample_time_s=2e-4, load_time_s=2e-3)
    advice, _ = recommend(device)
    assert isinstance(advice, Advice)
    assert advice.loader_workers is None
    assert any(caveat.code is CaveatCode.DATA_LOADER_BOTTLENECK for caveat in advice.caveats)
    assert all(c.num_workers is None for c in device.commands if isinstance(c, TimeLoader))


class Crowded(SimulatedDevice):
    """A device on whose machine there is no memory for more processes."""

    def measure(self, command: Command) -> Measurement:
        entry = super().measure(command)
        if isinstance(command, TimeLoader) and command.num_workers is not None:
            entry = replace(entry, outcome=OutOfMemory(message="no more", is_host=True))
        return entry


def test_a_trial_that_fails_costs_no_answer(recommend: Recommend) -> None:
    how: dict[str, Any] = {"profile": a_profile(cpu_count=4), "load_time_s": 2e-3}
    usual, crowded = SimulatedDevice(**how), Crowded(**how)
    with_number, _ = recommend(usual)
    without, _ = recommend(crowded)
    assert usual.commands == crowded.commands
    assert isinstance(with_number, Advice)
    assert isinstance(without, Advice)
    assert with_number.loader_workers is not None
    assert without.loader_workers is None
    assert without.verified
