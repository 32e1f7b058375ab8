"""How many processes a data loader needs to keep up with the model.

    T      seconds of a step's computing on one device; with h, for receiving its batches
    L      seconds in which one process loads a step's samples
    c      share of L on a processor; the rest waits for a disk, the network or a lock
    K      processors of a replica
    n      processes that load

What waits is done by any number of processes at once, what computes by as many as there are
processors for. So n processes take L/n, and a step no less than (T + h + c·L)/K; on a CPU, whose
processors all compute steps, no less than T + h + c·L/K. What n of them gain is measured before
it is advised: they may wait for the same lock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bsadvise.model.commands import TimeLoader
from bsadvise.model.device import DeviceKind
from bsadvise.model.measurements import LoaderTimes, Outcome

from advisor.estimators.timing import typical_time_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost

_ROUNDS_OF_A_TRIAL = 4
"""Batches of each process: two that are loaded ahead, and two that are timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderTrial:
    """A number of processes that was tried.

    Attributes:
        workers: The number.
        outcome: What came of it.
        loading_s: Seconds in which they load a step's samples; None where that failed.
        step_time_s: Seconds of a step with them; likewise.
        is_bound_by_processors: Whether they mostly had or queued for processors.
        is_of_use: Whether steps are notably faster, with the same samples.
    """

    workers: int
    outcome: Outcome
    loading_s: float | None = None
    step_time_s: float | None = None
    is_bound_by_processors: bool = False
    is_of_use: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderBottleneck:
    """A loader that training waits for.

    Attributes:
        compute_s: Seconds of a step on one device, loading left out.
        loading_s: Seconds that the loader needs for the samples of a step.
        step_time_s: Seconds of a step with both.
        computing_share: Share of a process's time on a processor, from 0 to 1; None if unknown.
        is_bound_by_processors: Whether they have to compute so much for loading that steps would
            take notably longer than without, however many processes load.
        promising_workers: Processes with which training is expected to wait less, or not at all;
            None when no number of them should make steps notably faster.
        trial: What a number of them did; None where none was tried.
    """

    compute_s: float
    loading_s: float
    step_time_s: float
    computing_share: float | None
    is_bound_by_processors: bool
    promising_workers: int | None
    trial: LoaderTrial | None

    @property
    def advised_workers(self) -> int | None:
        """Processes that were measured to help; None where none were."""
        trial = self.trial
        return trial.workers if trial is not None and trial.is_of_use else None


def next_loader_trial(view: LogView, split: Split) -> TimeLoader | None:
    """Return the timing of the processes that training with ``split`` should need.

    None where no more of them are expected to help, the loader's time could not be split into
    computing and waiting, that number was tried, or there is no time for it.
    """
    found, times = loader_bottleneck(view, split), view.loader_times
    if found is None or times is None or found.computing_share is None or found.trial is not None:
        return None
    if found.promising_workers is None:
        return None
    command = next(command for command, _ in view.entries(TimeLoader))
    batch_s = _time_of_one_process_s(view, times)
    allowed_s = view.tuning.data.loading.max_trial_share * view.request.budget_s
    share = min(1.0, allowed_s / (_ROUNDS_OF_A_TRIAL * batch_s))
    batch_size = int(share * command.batch_size)
    if batch_size < 1:
        return None
    return replace(command, batch_size=batch_size, num_workers=found.promising_workers)


def loader_bottleneck(view: LogView, split: Split) -> LoaderBottleneck | None:
    """Return the loader as training with ``split`` waits for it.

    Returns:
        None when it keeps up, was not timed, or takes little that nothing could save.
    """
    if view.step_times is None or view.load_time_per_sample_s is None:
        return None
    cost, tuning = view.model(StepCost), view.tuning.data.loading
    compute_s, loading_s = cost.compute_time_s(split), cost.loading_time_s(split)
    now_s = cost.step_time_s(split)
    if now_s <= tuning.bottleneck_factor * compute_s:
        return None
    alone_s = loading_s * max(1, view.profile.num_workers)
    share = _computing_share(view)
    computing_s = alone_s if share is None else share * alone_s
    least_s = _least_step_time_s(view, split, compute_s, computing_s)
    own_s = _least_step_time_s(view, split, compute_s, 0.0)
    workers = min(tuning.max_workers, math.ceil(alone_s / least_s))
    is_promising = tuning.bottleneck_factor * max(least_s, alone_s / workers) <= now_s
    if not is_promising and loading_s <= tuning.bottleneck_factor * compute_s:
        return None
    return LoaderBottleneck(
        compute_s=compute_s,
        loading_s=loading_s,
        step_time_s=now_s,
        computing_share=share,
        is_bound_by_processors=least_s > tuning.bottleneck_factor * own_s,
        promising_workers=workers if is_promising else None,
        trial=_trial(view, split, least_s, now_s),
    )


def _trial(view: LogView, split: Split, least_s: float, now_s: float) -> LoaderTrial | None:
    """Return the number of processes that was tried, for the steps of ``split``; None for none."""
    for command, entry in view.entries(TimeLoader):
        if command.num_workers is None:
            continue
        times = entry.outcome
        if not isinstance(times, LoaderTimes):
            return LoaderTrial(workers=command.num_workers, outcome=times)
        sample_s = typical_time_s(times.batch_times_s) / times.batch_size
        loading_s = sample_s * split.micro_batch_size * split.accumulation_steps
        step_time_s = max(least_s, loading_s)
        is_faster = view.tuning.data.loading.bottleneck_factor * step_time_s <= now_s
        return LoaderTrial(
            workers=command.num_workers,
            outcome=times,
            loading_s=loading_s,
            step_time_s=step_time_s,
            is_bound_by_processors=_is_bound_by_processors(times, command.num_workers),
            is_of_use=is_faster and not times.is_stream_repeated,
        )
    return None


def _is_bound_by_processors(times: LoaderTimes, workers: int) -> bool:
    wanted_s = (times.processor_time_per_batch_s or 0.0) + (times.processor_wait_per_batch_s or 0.0)
    return wanted_s > workers * typical_time_s(times.batch_times_s) / 2


def _computing_share(view: LogView) -> float | None:
    """Return c; None where the kernel does not say.

    Time in which a process waited for a processor that others had counts neither way: with a
    processor of its own it would have computed.
    """
    times = view.loader_times
    if times is None or times.processor_time_per_batch_s is None:
        return None
    computing_s = times.processor_time_per_batch_s
    queued_s = times.processor_wait_per_batch_s or 0.0
    own_s = max(_time_of_one_process_s(view, times) - queued_s, computing_s)
    return computing_s / own_s if own_s > 0 else 1.0


def _time_of_one_process_s(view: LogView, times: LoaderTimes) -> float:
    """Return the seconds in which one of the user's processes loads a batch."""
    return typical_time_s(times.batch_times_s) * max(1, view.profile.num_workers)


def _least_step_time_s(view: LogView, split: Split, compute_s: float, computing_s: float) -> float:
    """Return the seconds of a step that the processors allow, however many processes load.

    Args:
        view: The log.
        split: The step.
        compute_s: T.
        computing_s: c·L.
    """
    tuning = view.tuning.data.loading
    own_s = compute_s + tuning.handover_s * split.accumulation_steps
    processors = (view.profile.cpu_count or tuning.max_workers) / split.world_size
    if view.device.kind is DeviceKind.CPU:
        return own_s + computing_s / processors
    return max(own_s, (own_s + computing_s) / processors)
