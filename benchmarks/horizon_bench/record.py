"""Records a table of complete trainings: horizon × batch × peak rate × schedule.

Public tables have horizons from a 25th of the longest on, too long for a search of 5 %. The two
tables made here reach down to a 256th. All rates and schedules of one horizon and batch are trained
at once, as one stack of small models with common weights at the start and common samples.

``python -m benchmarks.horizon_bench.record`` appends what is not yet there to
``benchmarks/data/horizon``; two processes may share the work by naming a table each.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from advisor.estimators.horizon_schedule import parse_schedule
from benchmarks.horizon_bench.tasks import TASKS, Task, Weights

FOLDER = Path(__file__).parents[1] / "data" / "horizon"
COLUMNS = ("model", "batch", "learning_rate", "samples", "loss", "schedule", "optimizer")

LONGEST = 512 * 1024
HORIZONS = tuple(LONGEST // share for share in (256, 64, 16, 4, 1))
BATCHES = (8, 16, 32, 64, 128, 256, 512)
SCHEDULES = ("constant", "wsd:0.2", "cosine")
LEAST_STEPS = 32
"""A horizon of fewer steps is left out: its warm-up would be a part of one."""

_WARMUP_SHARE = 0.04


def rates_at(task: Task, batch: int) -> tuple[float, ...]:
    """Return the peak rates to train at a batch."""
    ratio = batch / 32
    return tuple(rate * (ratio**0.5 if task.is_adaptive else ratio**0.75) for rate in task.rates)


def losses_of(task: Task, batch: int, samples: int) -> list[tuple[float, str, float]]:
    """Train every rate with every schedule, and return rate, schedule and held-out loss of each."""
    steps = samples // batch
    peaks = rates_at(task, batch)
    curves = np.stack(
        [
            parse_schedule(name, warmup_share=_WARMUP_SHARE).step_rates(steps) * peak
            for name in SCHEDULES
            for peak in peaks
        ],
        axis=1,
    )
    rates = torch.tensor(curves, dtype=torch.float32)
    weights = {
        name: value.expand(rates.shape[1], *value.shape).clone().requires_grad_()
        for name, value in task.weights.items()
    }
    update = _adamw(weights) if task.is_adaptive else _momentum(weights)
    for rate, (inputs, labels) in zip(rates, task.batches(batch), strict=False):
        total = task.loss(task.predict(weights, inputs), labels).sum()
        gradients = torch.autograd.grad(total, list(weights.values()))
        with torch.no_grad():
            update(rate, gradients)
    with torch.no_grad():
        inputs, labels = task.held_out
        parts = [slice(begin, begin + 1024) for begin in range(0, len(inputs), 1024)]
        losses = torch.stack(
            [task.loss(task.predict(weights, inputs[part]), labels[part]) for part in parts]
        ).mean(0)
    members = [(peak, name) for name in SCHEDULES for peak in peaks]
    return [(peak, name, loss) for (peak, name), loss in zip(members, losses.tolist(), strict=True)]


Update = Callable[[Tensor, tuple[Tensor, ...]], None]


def _adamw(weights: Weights, *, betas: tuple[float, float] = (0.9, 0.98)) -> Update:
    """Return a step of AdamW (Loshchilov & Hutter, arXiv 1711.05101) with a rate a member."""
    decay, epsilon, done = 0.1, 1e-8, 0
    means = [torch.zeros_like(value) for value in weights.values()]
    squares = [torch.zeros_like(value) for value in weights.values()]

    def update(rate: Tensor, gradients: tuple[Tensor, ...]) -> None:
        nonlocal done
        done += 1
        for value, gradient, mean, square in zip(
            weights.values(), gradients, means, squares, strict=True
        ):
            mean.lerp_(gradient, 1 - betas[0])
            square.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
            root = square.sqrt().div_((1 - betas[1] ** done) ** 0.5).add_(epsilon)
            wide = rate.view(-1, *[1] * (value.ndim - 1))
            value.mul_(1 - wide * decay).sub_(wide * (mean / (1 - betas[0] ** done)) / root)

    return update


def _momentum(weights: Weights, *, momentum: float = 0.9) -> Update:
    """Return a step of SGD with momentum with a rate a member."""
    velocities = [torch.zeros_like(value) for value in weights.values()]

    def update(rate: Tensor, gradients: tuple[Tensor, ...]) -> None:
        for value, gradient, velocity in zip(weights.values(), gradients, velocities, strict=True):
            velocity.mul_(momentum).add_(gradient)
            value.sub_(rate.view(-1, *[1] * (value.ndim - 1)) * velocity)

    return update


def main() -> int:
    """Train what no file has yet, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.horizon_bench.record")
    parser.add_argument("tables", nargs="*", choices=[*TASKS, []], help="all by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.tables or TASKS:
        task, path = TASKS[name](), FOLDER / f"{name}.csv"
        known = {(int(row["samples"]), int(row["batch"])) for row in _read(path)}
        for samples in HORIZONS:
            for batch in reversed(BATCHES):
                if samples // batch >= LEAST_STEPS and (samples, batch) not in known:
                    rows = rows_of(name, task, batch, samples)
                    _append(path, rows)
    return 0


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows_of(model: str, task: Task, batch: int, samples: int) -> list[tuple[str, ...]]:
    """Return the table's rows of one horizon and batch."""
    optimizer = "adam" if task.is_adaptive else "sgd"
    return [
        (model, f"{batch}", f"{peak:.5g}", f"{samples}", f"{loss:.6g}", schedule, optimizer)
        for peak, schedule, loss in losses_of(task, batch, samples)
    ]


def _append(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Add rows in one write."""
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, *rows] if is_new else rows)


if __name__ == "__main__":
    sys.exit(main())
