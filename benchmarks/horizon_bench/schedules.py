"""Whether the peak rate for a named schedule follows from rates of another schedule and horizon.

The table is of one model at one batch size (Schaipp et al., arXiv 2501.18965): what is named is the
peak rate alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from bsadvise.model.measurements import LogEstimate

from advisor.estimators.horizon_advice import HorizonCandidate, advise_for_horizon, interval_of
from advisor.estimators.horizon_fit import HorizonGuess, fit_horizon_law
from advisor.estimators.horizon_law import HorizonPoint
from advisor.estimators.horizon_schedule import Schedule, parse_schedule
from benchmarks.horizon_bench.tables import Grid

STEP = 200
"""Sequences of a step, by the names of the runs."""

_WARMUP_STEPS = 300
_ASKED_STEPS = (15_000, 25_000, 35_000, 50_000)
"""Horizons of trainings with decay in the table."""

_LEAST_RATES = 3

REVEALED: dict[str, tuple[tuple[str, int], ...]] = {
    "wsd:0.2 of 15,000 steps, three rates": (("wsd:0.2", 15_000),),
    "constant rate to step 2,400, five rates": tuple(
        ("constant", steps) for steps in (600, 1_200, 1_800, 2_400)
    ),
    "constant rate to step 600, five rates": (("constant", 600),),
}
"""Schedules and steps that the law sees."""

WITHIN = 1.5


def rate_rows(grids: Sequence[Grid], off: float) -> Iterator[dict[str, Any]]:
    """Yield one row for each thing revealed and each schedule and horizon to name the rate for.

    Args:
        grids: Of one model at one batch size.
        off: Factor of the rate that the guess is from the middle of the rates.
    """
    by_name = {grid.schedule: grid for grid in grids}
    for label, seen in REVEALED.items():
        for name, grid in by_name.items():
            for samples in grid.horizons:
                steps = round(samples / STEP)
                is_asked = steps in _ASKED_STEPS and (name, steps) not in seen
                if is_asked and len(grid.losses[samples]) >= _LEAST_RATES:
                    yield {"revealed": label} | _row(by_name, seen, grid, samples, off)


def _row(
    by_name: Mapping[str, Grid],
    seen: Sequence[tuple[str, int]],
    grid: Grid,
    samples: float,
    off: float,
) -> dict[str, Any]:
    points = [
        HorizonPoint(
            batch_size=batch,
            learning_rate=rate,
            samples=steps * STEP,
            loss=loss,
            schedule=_schedule(name, steps * STEP),
        )
        for name, steps in seen
        for (batch, rate), loss in by_name[name].losses[steps * STEP].items()
    ]
    cells = grid.losses[samples]
    (batch,) = {one for one, _ in cells}
    guess = HorizonGuess(
        samples=samples,
        batch_size=LogEstimate(median=batch, log_deviation=1.5),
        learning_rate=LogEstimate(median=_middle_rate(cells) * off, log_deviation=1.5),
        schedule=_schedule(grid.schedule, samples),
        is_adaptive=True,
    )
    setting = advise_for_horizon(
        fit_horizon_law(points, guess),
        points,
        [HorizonCandidate(batch_size=batch, samples=samples)],
    )
    best, is_inside = best_rate(cells)
    interval = interval_of(setting.best_rate)
    loss = grid.loss_at(samples, (batch, setting.learning_rate))
    return {
        "schedule": grid.schedule,
        "steps": samples / STEP,
        "learning_rate": setting.learning_rate,
        "best_rate": best,
        "best_is_inside": is_inside,
        "ratio": setting.learning_rate / best,
        "cell_ratio": setting.learning_rate / grid.best(samples)[1],
        "is_in_interval": interval.low <= best <= interval.high,
        "loss_above_best": loss - min(cells.values()),
    }


def best_rate(cells: Mapping[tuple[float, float], float]) -> tuple[float, bool]:
    """Return the rate of the lowest loss by a parabola in ln η, and whether it is inside the rates.

    Args:
        cells: Losses of one batch size by batch and rate.
    """
    known = sorted((rate, loss) for (_, rate), loss in cells.items())
    place = min(range(len(known)), key=lambda one: known[one][1])
    if not 0 < place < len(known) - 1:
        return known[place][0], False
    rates, losses = zip(*known[place - 1 : place + 2], strict=True)
    square, linear, _ = np.polyfit(np.log(rates), losses, 2)
    return math.exp(-linear / (2 * square)), True


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the share of rates within the factor, and of intervals that hold."""
    return {
        "pairs": len(rows),
        "within": float(np.mean([_is_within(row["ratio"]) for row in rows])),
        "within_of_cell": float(np.mean([_is_within(row["cell_ratio"]) for row in rows])),
        "within_where_inside": float(
            np.mean([_is_within(row["ratio"]) for row in rows if row["best_is_inside"]])
        ),
        "interval_share": float(np.mean([row["is_in_interval"] for row in rows])),
    }


def _is_within(ratio: float) -> bool:
    return max(ratio, 1 / ratio) <= WITHIN


def _schedule(name: str, samples: float) -> Schedule:
    return parse_schedule(name, warmup_share=min(0.9, _WARMUP_STEPS * STEP / samples))


def _middle_rate(cells: Mapping[tuple[float, float], float]) -> float:
    logs = np.log([rate for _, rate in cells])
    return float(np.exp((logs.min() + logs.max()) / 2))
