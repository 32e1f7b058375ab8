"""Tables of complete trainings, and what a setting costs by them.

A table is a CSV file with the columns ``model, batch, learning_rate, samples, loss``, and
optionally ``schedule``, as ``advisor.estimators.horizon_schedule.parse_schedule`` reads it,
``decay_share``, of ``wsd``, and ``optimizer``, ``adam`` or ``sgd``. An empty loss or one that is
not finite is that of a training that diverged. Equal settings are averaged.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

Cell = tuple[float, float]
"""Batch size and peak learning rate."""

DEFAULT_SCHEDULE = "cosine"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The trainings of one model with one schedule.

    Attributes:
        model: Name.
        schedule: As ``parse_schedule`` reads it.
        is_adaptive: Trained with one of Adam's family.
        losses: By horizon in samples, then by setting; infinite where training diverged.
    """

    model: str
    schedule: str
    is_adaptive: bool
    losses: Mapping[float, Mapping[Cell, float]]

    @cached_property
    def horizons(self) -> tuple[float, ...]:
        """Horizons, shortest first, samples."""
        return tuple(sorted(self.losses))

    def best(self, samples: float) -> Cell:
        """Return the setting of the lowest loss at a horizon."""
        cells = self.losses[samples]
        return min(cells, key=cells.__getitem__)

    def loss_at(self, samples: float, setting: Cell) -> float:
        """Return the loss of any setting, interpolated linearly in ln B and ln η.

        A setting outside of the grid has the loss of its edge, at the same rate.
        """
        batch, rate = setting
        cells = self.losses[samples]
        batches = sorted({one for one, _ in cells})
        logs = np.log(batches)
        curves = [_along_rate(cells, one, rate) for one in batches]
        return float(np.interp(math.log(batch), logs, curves))

    def log_data(self, samples: float, loss: float) -> float:
        """Return ln of the factor of samples that the best settings save at equal loss.

        The best losses of the horizons are interpolated linearly in ln D, and extrapolated below
        the shortest by the slope to the next.
        """
        horizons = [one for one in self.horizons if one <= samples]
        if len(horizons) < 2:
            horizons = list(self.horizons[:2])
        logs = np.log(horizons)
        losses = np.minimum.accumulate([self.losses[one][self.best(one)] for one in horizons])
        place = int(np.clip(np.searchsorted(-losses, -loss), 1, len(losses) - 1))
        fall = (losses[place - 1] - losses[place]) / (logs[place] - logs[place - 1])
        return float(math.log(samples) - logs[place] + (loss - losses[place]) / max(fall, 1e-12))


def _along_rate(cells: Mapping[Cell, float], batch: float, rate: float) -> float:
    """Return the loss at a batch of the grid; what diverged counts as the worst of the rest."""
    known = sorted((one_rate, loss) for (one, one_rate), loss in cells.items() if one == batch)
    worst = max(loss for loss in cells.values() if math.isfinite(loss))
    losses = [loss if math.isfinite(loss) else worst for _, loss in known]
    return float(np.interp(math.log(rate), np.log([one for one, _ in known]), losses))


def read_table(path: Path) -> list[Grid]:
    """Return the grids of a table, in the order of their first rows.

    Raises:
        ValueError: A column or a number is missing, with the line.
    """
    found: dict[tuple[str, str, str], dict[float, dict[Cell, list[float]]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                key = (row["model"], _schedule(row), row.get("optimizer") or "adam")
                samples, cell, loss = _numbers(row)
            except (KeyError, ValueError) as error:
                raise ValueError(f"{path}:{number}: {error}") from error
            horizons = found.setdefault(key, {})
            horizons.setdefault(samples, {}).setdefault(cell, []).append(loss)
    return [
        Grid(
            model=model,
            schedule=schedule,
            is_adaptive=optimizer != "sgd",
            losses={
                samples: {cell: statistics.fmean(losses) for cell, losses in cells.items()}
                for samples, cells in horizons.items()
            },
        )
        for (model, schedule, optimizer), horizons in found.items()
    ]


def _schedule(row: Mapping[str, str]) -> str:
    name = row.get("schedule") or DEFAULT_SCHEDULE
    share = row.get("decay_share")
    return f"wsd:{share}" if name == "wsd" and share else name


def _numbers(row: Mapping[str, str]) -> tuple[float, Cell, float]:
    loss = float(row["loss"] or "inf")
    cell = (float(row["batch"]), float(row["learning_rate"]))
    return float(row["samples"]), cell, loss if math.isfinite(loss) else math.inf
