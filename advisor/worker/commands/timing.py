"""Times whole steps with the data at hand, and the data loader alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from multiprocessing import active_children
from time import perf_counter
from typing import Any

from bsadvise.model.commands import TimeLoader, TimeSteps
from bsadvise.model.measurements import LoaderTimes, StepTimes

from advisor.worker.loop.allocation_tracker import tracking
from advisor.worker.loop.contention import processor_time_s, processor_wait_s
from advisor.worker.loop.observers import Phase, StepObserver
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.session import Session
from advisor.worker.loop.torch_device import TorchDevice

_WARM_UP_STEPS = 3
_LEAST_TIMED_STEPS = 3
_MOST_TIMED_STEPS = 1000
_LEAST_TIMED_BATCHES = 2
_MOST_TIMED_BATCHES = 1000
_BATCHES_AHEAD = 2
"""Of each process of a loader, PyTorch's default ``prefetch_factor``."""
# Unlike batches, so that what a cache or a branch predictor learns of one is of no use.
_PREPARED_BATCHES = 4


class StepTimer(StepObserver):
    """Times steps, the time in which data are fetched left out.

    Attributes:
        step_times_s: Seconds of each step.
        optimizer_times_s: Seconds of the optimizer's share of each.
    """

    def __init__(self, device: TorchDevice, now_s: Callable[[], float] = perf_counter) -> None:
        self.step_times_s: list[float] = []
        self.optimizer_times_s: list[float] = []
        self._device = device
        self._now_s = now_s
        self._phase = Phase.LOADING
        self._phase_began_s = 0.0
        self._step_so_far_s = 0.0

    def entering(self, phase: Phase) -> None:
        """Stop the time of the phase that ends."""
        if phase in (Phase.ZERO_GRAD, Phase.BACKWARD):
            return  # Not told apart from the phase before: no need to wait for the device.
        self._device.synchronise()
        now_s = self._now_s()
        took_s = now_s - self._phase_began_s
        if self._phase is not Phase.LOADING:
            self._step_so_far_s += took_s
        if self._phase is Phase.OPTIMIZER:
            self.step_times_s.append(self._step_so_far_s)
            self.optimizer_times_s.append(took_s)
            self._step_so_far_s = 0.0
        self._phase = phase
        self._phase_began_s = now_s


def time_steps(
    session: Session, command: TimeSteps, now_s: Callable[[], float] = perf_counter
) -> StepTimes:
    """Time steps of one micro-batch, after some to warm up; ``now_s`` is the clock, in seconds."""
    session.device.limit_allocator()
    data = session.task.data
    with closing(data.training_batches(command.micro_batch_size)) as batches:
        prepared = list(itertools.islice(batches, _PREPARED_BATCHES))
    training = session.build(
        Recipe(micro_batch_size=command.micro_batch_size, seed=session.task.seed)
    )
    # The limit is enforced while warming up alone: a tracker would slow what is timed,
    # and later steps take no more memory than these.
    with tracking(session.track(training)) as tracker:
        for _ in range(_WARM_UP_STEPS):
            # One batch: all of them, kept on the host for the timing alone, would count on a CPU.
            training.step(itertools.repeat(prepared[0]), observers=[tracker] if tracker else [])
    order = itertools.cycle(prepared)
    waited_s = processor_wait_s()
    timer = StepTimer(session.device, now_s)
    end_s = now_s() + command.measure_s
    for count in range(_MOST_TIMED_STEPS):
        if count >= _LEAST_TIMED_STEPS and now_s() >= end_s:
            break
        training.step(order, observers=[timer])
    return StepTimes(
        step_times_s=tuple(timer.step_times_s),
        optimizer_times_s=tuple(timer.optimizer_times_s),
        processor_wait_s=_grown(waited_s, processor_wait_s()),
    )


def _grown(before: float | None, after: float | None) -> float | None:
    """Return by how much a sum over threads has grown: not at all where some have ended."""
    return None if before is None or after is None else max(0.0, after - before)


def time_loader(
    session: Session, command: TimeLoader, now_s: Callable[[], float] = perf_counter
) -> LoaderTimes:
    """Time the fetching of batches as the user's loader does it, its start left out.

    ``now_s`` is the clock, in seconds.
    """
    data, count = session.task.data, command.num_workers
    is_stream_repeated = count is not None and data.is_repeated_by(count)
    if count is None:
        count = session.task.settings.num_workers
    # Processes that work side by side hand their batches over in bursts: only the time of one
    # batch from each shows how fast they are.
    burst = max(1, count)
    times_s: list[float] = []
    with closing(data.loader_batches(command.batch_size, command.num_workers)) as batches:
        # What processes have loaded while others were started comes sooner than they load.
        _skip(batches, burst * (_BATCHES_AHEAD if count else 1))
        processes = _loading_processes(count)
        used_s, waited_s = processor_time_s(processes), processor_wait_s(processes)
        end_s = now_s() + command.measure_s
        for timed in range(_MOST_TIMED_BATCHES):
            if timed >= _LEAST_TIMED_BATCHES and now_s() >= end_s:
                break
            began_s = now_s()
            _skip(batches, burst)
            times_s.append((now_s() - began_s) / burst)
        used_s = _grown(used_s, processor_time_s(processes))
        waited_s = _grown(waited_s, processor_wait_s(processes))
    batch_count = burst * len(times_s)
    return LoaderTimes(
        batch_size=command.batch_size,
        batch_times_s=tuple(times_s),
        processor_time_per_batch_s=used_s and used_s / batch_count,
        processor_wait_per_batch_s=waited_s and waited_s / batch_count,
        is_stream_repeated=is_stream_repeated,
    )


def _loading_processes(count: int) -> Sequence[int | str]:
    """Return which processes load: the children where there are to be any, else this one."""
    return [child.pid for child in active_children() if child.pid] if count else ["self"]


def _skip(batches: Iterator[Any], count: int) -> None:
    for _ in range(count):
        next(batches)
