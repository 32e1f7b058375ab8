"""What a search sees of a table, and what methods answer from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from bsadvise.model.measurements import LogEstimate

from advisor.estimators.horizon_advice import HorizonCandidate, HorizonSetting, advise_for_horizon
from advisor.estimators.horizon_fit import HorizonGuess, fit_horizon_law
from advisor.estimators.horizon_law import HorizonLaw, HorizonPoint
from advisor.estimators.horizon_schedule import parse_schedule
from benchmarks.horizon_bench.tables import Cell, Grid

_GUESS_DEVIATION = 1.5
"""Of the logarithm of a recipe's batch size and rate from the best ones."""

_ENOUGH, _MOST = 6, 12
"""Trainings of a horizon that locate its best setting, and beyond which no more are made."""

_BATCHES = tuple(2 ** (step / 2) for step in range(4, 29))
"""Batch sizes that are advised: 4 to 16384 in steps of √2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds of a step: constant while the device has room, then linear in the batch.

    Attributes:
        fixed_s: Of a small step, above 0.
        samples_per_s: Of a large one, above 0.
    """

    fixed_s: float
    samples_per_s: float

    def sample_s(self, batch: float) -> float:
        """Return the seconds of a sample."""
        return max(self.fixed_s / batch, 1 / self.samples_per_s)


FREE = StepTime(fixed_s=1e-9, samples_per_s=1.0)
"""A sample takes a second whatever the batch, so that time is data."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A horizon to answer for, and what a search saw of shorter ones.

    Attributes:
        grid: The table's model and schedule.
        samples: The horizon.
        start: The recipe that the search began from: the batch size and peak rate of a user's file.
        seen: Settings trained, with their horizon in samples.
        times: What a step takes.
    """

    grid: Grid
    samples: float
    start: Cell
    seen: tuple[tuple[float, Cell], ...]
    times: StepTime = FREE

    @property
    def share(self) -> float:
        """Samples of the search over those of the training."""
        return sum(samples for samples, _ in self.seen) / self.samples

    @property
    def carried(self) -> float:
        """Horizon over the longest that the search saw."""
        return self.samples / max(samples for samples, _ in self.seen)

    def best_seen(self) -> Cell:
        """Return the best setting of the longest rung."""
        longest = max(samples for samples, _ in self.seen)
        cells = [cell for samples, cell in self.seen if samples == longest]
        return min(cells, key=self.grid.losses[longest].__getitem__)

    def log_cost(self, setting: Cell) -> float:
        """Return ln of the time to an equal loss, over that of the table's best setting."""
        best = min(self._log_time(cell) for cell in self.grid.losses[self.samples])
        return self._log_time(setting) - best

    def _log_time(self, setting: Cell) -> float:
        loss = self.grid.loss_at(self.samples, setting)
        return self.grid.log_data(self.samples, loss) + math.log(self.times.sample_s(setting[0]))


def start_of(grid: Grid, samples: float, off: float) -> Cell:
    """Return a recipe: the middle of a horizon's batches and rates, times a factor."""
    batches, rates = zip(*grid.losses[samples], strict=True)
    return (_middle(batches) * off, _middle(rates) * off)


def _middle(values: Iterable[float]) -> float:
    logs = np.log(sorted(set(values)))
    return float(np.exp((logs[0] + logs[-1]) / 2))


def law_of(case: Case) -> HorizonLaw:
    """Return the law after what the search saw."""
    batch, rate = case.start
    guess = HorizonGuess(
        samples=case.samples,
        batch_size=LogEstimate(median=batch, log_deviation=_GUESS_DEVIATION),
        learning_rate=LogEstimate(median=rate, log_deviation=_GUESS_DEVIATION),
        schedule=parse_schedule(case.grid.schedule),
        is_adaptive=case.grid.is_adaptive,
    )
    return fit_horizon_law(points_of(case), guess)


def points_of(case: Case) -> tuple[HorizonPoint, ...]:
    """Return the complete trainings that a search saw."""
    return tuple(
        HorizonPoint(
            batch_size=cell[0],
            learning_rate=cell[1],
            samples=samples,
            loss=case.grid.losses[samples][cell],
            schedule=parse_schedule(case.grid.schedule),
        )
        for samples, cell in case.seen
    )


def advised(case: Case) -> HorizonSetting:
    """Return what the law advises: the samples that a batch sees are those its time allows."""
    longest_s = case.samples * case.times.sample_s(max(_BATCHES))
    candidates = [
        HorizonCandidate(batch_size=batch, samples=longest_s / case.times.sample_s(batch))
        for batch in _BATCHES
    ]
    return advise_for_horizon(law_of(case), points_of(case), candidates)


Method = Callable[[Case, HorizonSetting], Cell]
"""From a case and what the law advises for it to a setting."""


def by_law(_: Case, setting: HorizonSetting) -> Cell:
    """Carry batch and rate by the law."""
    return (setting.batch_size, setting.learning_rate)


def unchanged(case: Case, _: HorizonSetting) -> Cell:
    """Keep the best setting of the longest rung."""
    return case.best_seen()


def with_rate_exponent(exponent: float) -> Method:
    """Return the law's batch with the rate of the best setting seen, scaled by the batch."""

    def method(case: Case, setting: HorizonSetting) -> Cell:
        batch, rate = case.best_seen()
        return (setting.batch_size, rate * (setting.batch_size / batch) ** exponent)

    return method


def by_exponents(batch_exponent: float, rate_exponent: float) -> Method:
    """Return the best setting seen, carried by exponents of the horizon."""

    def method(case: Case, _: HorizonSetting) -> Cell:
        batch, rate = case.best_seen()
        return (batch * case.carried**batch_exponent, rate * case.carried**rate_exponent)

    return method


METHODS: dict[str, Method] = {
    "law": by_law,
    "unchanged": unchanged,
    "law's batch, same rate": with_rate_exponent(0.0),
    "law's batch, square root": with_rate_exponent(0.5),
    "law's batch, linear": with_rate_exponent(1.0),
    "Step Law's exponents": by_exponents(0.571, 0.307),
    "nanochat's exponents": by_exponents(0.383, 0.1915),
}
"""Exponents of Step Law are those of arXiv 2503.04715, of nanochat those of its training script."""


def plan_within(grid: Grid, samples: float, share: float) -> tuple[tuple[float, int], ...]:
    """Return how many trainings of which horizons a share of the training pays for.

    They are of the longest horizon that the share pays enough of, or of the shortest if it pays
    enough of none. One training of a horizon says nothing, so that the plan is empty where not even
    two of the shortest can be paid.
    """
    budget = share * samples
    rungs = [one for one in grid.horizons if one < samples and 2 * one <= budget]
    if not rungs:
        return ()
    affordable = [one for one in rungs if _ENOUGH * one <= budget]
    rung = affordable[-1] if affordable else rungs[0]
    count = min(int(budget / rung), _MOST)
    return ((rung, count),)


def whole_rung(grid: Grid, rung: float, samples: float, times: StepTime = FREE) -> Case:
    """Return the case of a search that trained all settings of one shorter horizon."""
    seen = tuple((rung, cell) for cell in grid.losses[rung])
    start = start_of(grid, samples, 1.0)
    return Case(grid=grid, samples=samples, start=start, seen=seen, times=times)


def searched(
    grid: Grid,
    plan: Sequence[tuple[float, int]],
    samples: float,
    off: float,
    times: StepTime = FREE,
) -> Case:
    """Return the case of a search of few trainings, each chosen by the law after those before.

    Args:
        grid: Model and schedule.
        plan: Horizons with the number of trainings of each.
        samples: The horizon to answer for.
        off: Factor of the recipe that it starts from.
        times: What a step takes.
    """
    start = start_of(grid, samples, off)
    case = Case(grid=grid, samples=samples, start=start, seen=(), times=times)
    for rung, count in plan:
        for _ in range(count):
            cell = _next(case, rung)
            case = Case(
                grid=grid,
                samples=samples,
                start=start,
                seen=(*case.seen, (rung, cell)),
                times=times,
            )
    return case


def _next(case: Case, rung: float) -> Cell:
    """Return the setting that may be best: its expected cost less a deviation is least."""
    law = law_of(case)
    tried = {cell for samples, cell in case.seen if samples == rung}

    def worth(cell: Cell) -> float:
        costs = law.cost(*cell, rung)
        return float(costs.mean() - costs.std() * bool(case.seen))

    return min((cell for cell in case.grid.losses[rung] if cell not in tried), key=worth)
