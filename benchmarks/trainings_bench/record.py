"""Trains what a workload's grid lacks, and keeps each training as soon as it is made."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.trainings_bench.grid import Lattice, missing
from benchmarks.trainings_bench.recording import (
    Training,
    add_training,
    path_of,
    read_trainings,
    trained,
)
from benchmarks.trainings_bench.times import read_times
from benchmarks.trainings_bench.trainers import Trainers
from benchmarks.trainings_bench.workloads import Workload


def record(workload: Workload, schedule: str, most: int) -> int:
    """Make at most so many of the trainings that a grid lacks; return how many were made.

    Args:
        workload: The workload.
        schedule: Name of the schedule.
        most: Trainings, at least 0.
    """
    lattice = Lattice(times=read_times(workload.name), samples=workload.samples)
    path = path_of(workload.name)
    with tempfile.TemporaryDirectory() as scratch:
        trainers = Trainers(workload.name, Path(scratch))
        for made in range(most):
            known = [one for one in read_trainings(path) if one.is_of_grid]
            planned = missing(lattice, [one for one in known if one.schedule == schedule])
            if planned is None:
                print(f"{workload.name} {schedule}: the grid is complete", flush=True)
                return made
            wanted = Training(
                schedule=schedule,
                samples=planned.samples,
                batch_size=planned.setting.batch_size,
                learning_rate=planned.setting.learning_rate,
                seed=planned.seed,
                is_of_grid=True,
            )
            begun_s = time.monotonic()
            one = trained(trainers.of(planned.seed), wanted)
            add_training(path, one)
            print(
                f"{workload.name} {schedule} {planned.samples} samples, batch {one.batch_size} at "
                f"{one.learning_rate:g}, seed {one.seed}: {one.loss:.5g} "
                f"({time.monotonic() - begun_s:.0f} s)",
                flush=True,
            )
    return most
