"""Seconds of a step by batch size, measured once and kept beside the recordings.

They are seconds of processor time, with one thread: what a training takes while nothing else runs.
A busy machine makes a step last longer, and hardly changes its processor time. Sizes are measured
in turn, round after round, so that a change of the processor's clock bears on all of them alike.

What is read is slower by a constant factor: trainings that a core makes in seconds are asked about
as ones of minutes, of as many steps. Some of the planner's constants are in seconds; all that is
reported is a ratio of times.
"""

from __future__ import annotations

import math
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time

import torch
from bsadvise.model.commands import Evaluate, InspectTask, TimeLoader, TimeSteps
from bsadvise.model.measurements import Evaluation, LoaderTimes, StepTimes
from bsadvise.model.task import TaskProfile

from advisor.estimators.timing import typical_time_s
from benchmarks.regret_bench.recording import Recording, read_recording, write_recording
from benchmarks.regret_bench.trainer import EVALUATION_BATCH_SIZE, LIMIT_S, Trainer
from benchmarks.trainings_bench.recording import DIRECTORY
from benchmarks.trainings_bench.workloads import Workload

SIZES = tuple(2**k for k in range(2, 11))
SLOWDOWN = 10.0
"""Modelled seconds in a second of processor time."""

_ROUNDS = 4
_SAMPLES = 4096
_STEPS = (8, 256)
"""A size is timed over as many steps as see these samples, within these numbers."""

_EVALUATIONS = 6
_LOADED_BATCH = 64


def path_of(workload: str) -> Path:
    """Return the path of a workload's times."""
    return DIRECTORY / f"{workload}.times.json"


def read_times(workload: str) -> Recording:
    """Return a workload's times, in modelled seconds.

    Raises:
        SystemExit: They were not measured yet.
    """
    path = path_of(workload)
    if not path.exists():
        raise SystemExit(f"{path} is not there: run python -m benchmarks.trainings time {workload}")
    return slowed(read_recording(path), SLOWDOWN)


def slowed(times: Recording, factor: float) -> Recording:
    """Return the times of a device that takes so many times as long, above 0."""
    return replace(
        times,
        recorded_s=times.recorded_s * factor,
        load_time_per_sample_s=times.load_time_per_sample_s * factor,
        evaluation_s=times.evaluation_s * factor,
        optimizer_s=times.optimizer_s * factor,
        step_times_s={size: time_s * factor for size, time_s in times.step_times_s.items()},
    )


def measure(workload: Workload) -> None:
    """Measure the times of a workload, and write them."""
    with tempfile.TemporaryDirectory() as scratch:
        times = _measured(workload, Trainer(workload.name, Path(scratch), seed=0))
    write_recording(times, path_of(workload.name))
    print({size: f"{times.step_time_s(size):.3g} s" for size in times.step_times_s}, flush=True)


def _measured(workload: Workload, trainer: Trainer) -> Recording:
    profile = trainer.ask(InspectTask(time_limit_s=LIMIT_S), TaskProfile)
    size, rate = profile.reference_batch_size, profile.reference_learning_rate
    if size is None or rate is None:
        raise SystemExit(f"{workload.name}: the file names no reference recipe")
    evaluate = Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=EVALUATION_BATCH_SIZE)
    evaluation = trainer.ask(evaluate, Evaluation)
    steps = TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=size, measure_s=1.0)
    load_s = _load_time_per_sample_s(trainer)
    step_times_s, evaluation_s = _in_rounds(trainer, rate)
    return Recording(
        workload=workload.name,
        command=f"python -m benchmarks.trainings time {workload.name}",
        machine=f"{processor_name()}, 1 thread, torch {torch.__version__}",
        recorded_s=workload.samples / size * step_times_s[size],
        family=profile.optimizer.family.value,
        dataset_size=profile.dataset_size or 0,
        evaluation_size=profile.evaluation_size,
        reference_batch_size=size,
        reference_learning_rate=rate,
        initial_loss=evaluation.held_out_loss or float("inf"),
        load_time_per_sample_s=load_s,
        evaluation_s=evaluation_s,
        optimizer_s=typical_time_s(trainer.ask(steps, StepTimes).optimizer_times_s),
        # A recording's leave loading out.
        step_times_s={
            one: max(time_s - one * load_s, time_s / 10) for one, time_s in step_times_s.items()
        },
    )


def _in_rounds(trainer: Trainer, rate: float) -> tuple[dict[int, float], float]:
    """Return the seconds of a step by batch size, and those of an evaluation.

    Of equal trainings the quickest counts: what other processes do to caches only adds time. What
    is done once for each training cancels in the difference between a short and a long one.
    """
    marks = tuple(range(1, _EVALUATIONS + 1))
    counts = {size: min(max(_SAMPLES // size, _STEPS[0]), _STEPS[1]) for size in SIZES}
    short_s, long_s = dict.fromkeys(SIZES, math.inf), dict.fromkeys(SIZES, math.inf)
    plain_s = marked_s = math.inf
    for _ in range(_ROUNDS):
        for size, count in counts.items():
            short_s[size] = min(short_s[size], _training_s(trainer, size, rate, count))
            long_s[size] = min(long_s[size], _training_s(trainer, size, rate, 3 * count))
        plain_s = min(plain_s, _training_s(trainer, SIZES[0], rate, _EVALUATIONS + 1))
        marked_s = min(marked_s, _training_s(trainer, SIZES[0], rate, _EVALUATIONS + 1, marks))
    steps_s = {size: (long_s[size] - short_s[size]) / (2 * counts[size]) for size in SIZES}
    return steps_s, max(marked_s - plain_s, 0.0) / _EVALUATIONS


def _training_s(
    trainer: Trainer, size: int, rate: float, count: int, marks: tuple[int, ...] = ()
) -> float:
    return _processor_s(lambda: trainer.train(size, rate, count, marks))


def _load_time_per_sample_s(trainer: Trainer) -> float:
    command = TimeLoader(time_limit_s=LIMIT_S, batch_size=_LOADED_BATCH, measure_s=0.5)
    counts = []

    def load() -> None:
        counts.append(len(trainer.ask(command, LoaderTimes).batch_times_s))

    return min(_processor_s(load) / counts[-1] for _ in range(_ROUNDS)) / _LOADED_BATCH


def _processor_s(action: Callable[[], object]) -> float:
    begun_s = process_time()
    action()
    return process_time() - begun_s


def processor_name() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
