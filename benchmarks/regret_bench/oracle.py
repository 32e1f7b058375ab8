"""Trains and records every setting of a grid on a workload; the oracle is the best of them.

Times are modelled, as steps times the step time of the batch, so CPU contention affects only the
duration of the recording. Recorded settings are not trained again, so a recording can be
interrupted and resumed.
"""

from __future__ import annotations

import math
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from bsadvise.model.commands import Evaluate, InspectTask, TimeLoader, TimeSteps
from bsadvise.model.measurements import Evaluation, LoaderTimes, StepTimes
from bsadvise.model.task import TaskProfile

from advisor.estimators.scaling_rules import scale_learning_rate
from advisor.estimators.timing import typical_time_s
from benchmarks.regret_bench.recording import (
    Recording,
    Run,
    path_of,
    read_recording,
    write_recording,
)
from benchmarks.regret_bench.target import reference_setting, target_loss
from benchmarks.regret_bench.trainer import EVALUATION_BATCH_SIZE, LIMIT_S, Trainer
from benchmarks.regret_bench.workloads import Workload

_EVALUATIONS = 32
_FIRST_EVALUATION = 1 / 128
_LOADED_BATCH = 64
_LEAST_STEPS = 24
"""A batch is in the grid if a run has at least this many steps of it."""

FIRST_SEED = 0
_WITHIN = 2.5
"""Settings that take longer than the best by this factor are not trained with other seeds."""

_POWERS = range(-1, 7)
"""Learning rates are those of the scaling rule times two to these powers."""


def record(workload: Workload, seeds: Sequence[int]) -> Recording:
    """Record the missing runs of a workload's grid, and return the whole recording."""
    torch.set_num_threads(1)
    path = path_of(workload.name)
    with tempfile.TemporaryDirectory() as scratch:
        if path.exists():
            recording = read_recording(path)
        else:
            recording = _describe(workload, Trainer(workload.name, Path(scratch), 0))
        for seed in seeds:
            trainer = Trainer(workload.name, Path(scratch), seed)
            for batch_size, rate in missing_settings(recording, seed):
                recording = recording.with_run(_run(trainer, recording, batch_size, rate, seed))
                write_recording(recording, path)
                loss = min(recording.runs[-1].losses, default=float("nan"))
                print(f"{workload.name} {seed}: {batch_size} {rate:.4g}: {loss:.4g}", flush=True)
    return recording


def grid(recording: Recording) -> Iterator[tuple[int, float]]:
    """Yield the settings of a grid: powers of two in batch, and in rate about the scaling rule."""
    sizes = [
        size
        for size in recording.step_times_s
        if recording.recorded_s / recording.step_time_s(size) >= _LEAST_STEPS
    ]
    for size, power in product(sizes, _POWERS):
        centre = scale_learning_rate(
            recording.optimizer_family,
            recording.reference_learning_rate,
            size / recording.reference_batch_size,
        )
        yield size, float(f"{centre * 2.0**power:.4g}")


def evaluation_steps(step_count: int) -> tuple[int, ...]:
    """Return the steps of a run after which to evaluate, spaced geometrically."""
    steps = (
        round(step_count * _FIRST_EVALUATION ** (1 - index / _EVALUATIONS))
        for index in range(_EVALUATIONS + 1)
    )
    return tuple(sorted({step for step in steps if step > 0}))


def missing_settings(recording: Recording, seed: int) -> list[tuple[int, float]]:
    """Return the settings that are still to be trained with a seed: the whole grid for the first.

    For other seeds, those whose time to target with the first seed is within a factor of the
    least: any other would be the best by the median only if two seeds deviated that far.
    """
    settings = list(grid(recording))
    if seed != FIRST_SEED:
        first = replace(
            recording, runs=tuple(run for run in recording.runs if run.seed == FIRST_SEED)
        )
        target = target_loss(first)
        times_s = {
            (run.batch_size, run.learning_rate): recording.time_to(run, target)
            for run in first.runs
        }
        least_s = min(time_s for time_s in times_s.values() if time_s is not None)
        settings = [
            setting
            for setting in settings
            if (times_s.get(setting) or math.inf) <= _WITHIN * least_s
            or _is_reference(recording, *setting)
        ]
    return [(b, rate) for b, rate in settings if (b, rate, seed) not in recording.by_setting]


def _is_reference(recording: Recording, batch_size: int, rate: float) -> bool:
    reference = reference_setting(recording)
    return batch_size == reference.batch_size and math.isclose(
        rate, reference.learning_rate, rel_tol=1e-3
    )


def _run(trainer: Trainer, recording: Recording, batch_size: int, rate: float, seed: int) -> Run:
    step_count = round(recording.recorded_s / recording.step_time_s(batch_size))
    steps, losses = trainer.train(batch_size, rate, step_count, evaluation_steps(step_count))
    return Run(batch_size, rate, seed, steps, losses)


def _describe(workload: Workload, trainer: Trainer) -> Recording:
    profile = trainer.ask(InspectTask(time_limit_s=LIMIT_S), TaskProfile)
    evaluate = Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=EVALUATION_BATCH_SIZE)
    evaluation = trainer.ask(evaluate, Evaluation)
    loader = trainer.ask(
        TimeLoader(time_limit_s=LIMIT_S, batch_size=_LOADED_BATCH, measure_s=0.5), LoaderTimes
    )
    times_s: dict[int, float] = {}
    optimizer_times_s: list[float] = []
    for size in (2**k for k in range(2, 11)):
        times = trainer.ask(
            TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=size, measure_s=1.0), StepTimes
        )
        times_s[size] = typical_time_s(times.step_times_s)
        optimizer_times_s.extend(times.optimizer_times_s)
    if profile.reference_batch_size is None or profile.reference_learning_rate is None:
        raise SystemExit(f"{workload.name}: the file names no reference recipe")
    return Recording(
        workload=workload.name,
        command=f"python -m benchmarks.regret record {workload.name}",
        machine=f"{platform.machine()}, 1 thread, torch {torch.__version__}",
        recorded_s=workload.recorded_s,
        family=profile.optimizer.family.value,
        dataset_size=profile.dataset_size or 0,
        evaluation_size=profile.evaluation_size,
        reference_batch_size=profile.reference_batch_size,
        reference_learning_rate=profile.reference_learning_rate,
        initial_loss=evaluation.held_out_loss or float("inf"),
        load_time_per_sample_s=typical_time_s(loader.batch_times_s) / _LOADED_BATCH,
        evaluation_s=_evaluation_s(trainer, profile.reference_learning_rate),
        optimizer_s=typical_time_s(optimizer_times_s),
        step_times_s=times_s,
    )


def _evaluation_s(trainer: Trainer, rate: float) -> float:
    """Return the seconds of an evaluation: the difference between twenty and none, over twenty."""
    steps = tuple(range(1, 21))

    def wall_s(marks: tuple[int, ...]) -> float:
        begun_s = time.perf_counter()
        trainer.train(4, rate, 21, marks)
        return time.perf_counter() - begun_s

    wall_s(())
    # The median, since contention in a run without evaluations would make the least too small.
    return max(statistics.median(wall_s(steps) - wall_s(()) for _ in range(5)), 0.0) / len(steps)
