"""Whole trainings of a workload, one a line, and how one is made."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.json_lines import append_line, read_lines
from benchmarks.regret_bench.oracle import evaluation_steps
from benchmarks.regret_bench.trainer import Trainer
from benchmarks.trainings_bench.workloads import SCHEDULES

DIRECTORY = Path(__file__).parents[1] / "results" / "trainings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training to the end of its schedule.

    Attributes:
        schedule: Name of its schedule.
        samples: That it sees, repeats counted.
        batch_size: B, samples.
        learning_rate: Peak η.
        seed: Of the weights and of the order of the samples.
        is_of_grid: Whether it belongs to the grid, or only to a method's answer.
        steps: Optimizer steps after which the held-out loss was evaluated.
        losses: Held-out loss at each.
    """

    schedule: str
    samples: int
    batch_size: int
    learning_rate: float
    seed: int
    is_of_grid: bool
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()

    @property
    def setting(self) -> Setting:
        """Batch size and peak rate."""
        return Setting(self.batch_size, self.learning_rate)

    @property
    def key(self) -> tuple[str, int, Setting, int]:
        """What tells it from others."""
        return self.schedule, self.samples, self.setting, self.seed

    @property
    def loss(self) -> float:
        """The held-out loss at its end; infinite if it diverged before."""
        is_complete = self.steps[-1:] == (step_count(self.samples, self.batch_size),)
        return self.losses[-1] if is_complete and math.isfinite(self.losses[-1]) else math.inf


def step_count(samples: int, batch_size: int) -> int:
    """Return how many steps of a batch see as many samples, at least one."""
    return max(1, round(samples / batch_size))


def path_of(workload: str) -> Path:
    """Return the path of a workload's trainings."""
    return DIRECTORY / f"{workload}.jsonl"


def read_trainings(path: Path) -> list[Training]:
    """Return the trainings in a file, oldest first."""
    lines = read_lines(path)
    return [
        Training(**line | {"steps": tuple(line["steps"]), "losses": tuple(line["losses"])})
        for line in lines
    ]


def add_training(path: Path, training: Training) -> None:
    """Append a training."""
    append_line(path, asdict(training))


def trained(trainer: Trainer, wanted: Training) -> Training:
    """Carry out a training, and return it with its losses.

    Args:
        trainer: Of the workload, with the training's seed.
        wanted: Without losses.
    """
    count = step_count(wanted.samples, wanted.batch_size)
    steps, losses = trainer.train(
        wanted.batch_size,
        wanted.learning_rate,
        count,
        evaluation_steps(count),
        SCHEDULES[wanted.schedule].over(count),
    )
    return Training(**asdict(wanted) | {"steps": steps, "losses": losses})
