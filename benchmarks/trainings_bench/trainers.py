"""One trainer for each seed of a workload, made when it is first used."""

from __future__ import annotations

from pathlib import Path

from benchmarks.regret_bench.trainer import Trainer


class Trainers:
    """The trainers of a workload.

    They serve one workload: a process that has loaded its file serves no other.
    """

    def __init__(self, workload: str, scratch_dir: Path) -> None:
        """Take a workload, and a directory for checkpoints."""
        self._workload = workload
        self._scratch_dir = scratch_dir
        self._made: dict[int, Trainer] = {}

    def of(self, seed: int) -> Trainer:
        """Return the trainer with a seed of weights and of the order of the samples."""
        if seed not in self._made:
            self._made[seed] = Trainer(self._workload, self._scratch_dir, seed)
        return self._made[seed]
