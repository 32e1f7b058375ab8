"""Which settings of a grid are trained, and in which order: the coarse grid, then around the best.

symbol  meaning                                                          unit
D       the length of the training                                       samples
B₀, η₀  batch size and rate of the file                                  samples, –
i, j    place in the grid: B = B₀·2^i, η = 2^j·(η₀ by the rule for B)    –
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product, starmap
from typing import NamedTuple

from bsadvise.model.task import OptimizerFamily

from advisor.estimators.scaling_rules import scale_learning_rate
from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.recording import Recording
from benchmarks.trainings_bench.judging import Judge
from benchmarks.trainings_bench.recording import Training, step_count

SHORTER = (2, 4)
"""The grid's best is also sought at these fractions (1/n) of D, from which time at an equal loss is
read off."""

SEEDS = (0, 1)
_MOST_LEADERS = 4
"""Settings of the least times to an equal loss that are trained with each further seed."""

_PLACES_I, _PLACES_J = range(-8, 9), range(-16, 17)
_LEAST_STEPS = 40
_BATCH_SIZES = (4, 1024)


class Cell(NamedTuple):
    """A place in the grid."""

    i: int
    j: int


COARSE = tuple(Cell(i, j) for i in (0, -2, 2) for j in (0, 2, -2, 4))


class Planned(NamedTuple):
    """A training of the grid."""

    samples: int
    setting: Setting
    seed: int


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """The settings of a grid.

    Attributes:
        times: Of the workload; they name the file's recipe.
        samples: D.
    """

    times: Recording
    samples: int

    @cached_property
    def places(self) -> dict[Setting, Cell]:
        """The places of all settings that a grid can come to."""
        return {self.setting(cell): cell for cell in starmap(Cell, product(_PLACES_I, _PLACES_J))}

    def setting(self, cell: Cell) -> Setting:
        """Return the setting at a place."""
        reference = self.times.reference_learning_rate
        family = OptimizerFamily(self.times.family)
        centre = scale_learning_rate(family, reference, 2.0**cell.i)
        batch_size = round(self.times.reference_batch_size * 2.0**cell.i)
        return Setting(batch_size, float(f"{centre * 2.0**cell.j:.4g}"))

    def neighbours(self, cell: Cell) -> Iterator[Cell]:
        """Yield the places beside one whose batch size is in the grid."""
        for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            neighbour = Cell(cell.i + i, cell.j + j)
            if self._is_possible(neighbour):
                yield neighbour

    def _is_possible(self, cell: Cell) -> bool:
        exact = self.times.reference_batch_size * 2.0**cell.i
        least, most = _BATCH_SIZES
        is_long = step_count(self.samples, max(1, int(exact))) >= _LEAST_STEPS
        return exact == int(exact) and least <= exact <= most and is_long


def missing(lattice: Lattice, trainings: Iterable[Training]) -> Planned | None:
    """Return the next training of a grid; None once it is complete.

    The coarse grid at D; the neighbours of the lowest loss, until it has them all; the same at
    each shorter length, from the place that is best at D; the neighbours of the least time to an
    equal loss; the settings of the least times with further seeds.

    Args:
        lattice: The settings.
        trainings: Those of the grid that were made with the schedule.
    """
    losses: dict[tuple[int, int], dict[Setting, float]] = {}
    for one in trainings:
        losses.setdefault((one.samples, one.seed), {})[one.setting] = one.loss
    whole = losses.get((lattice.samples, SEEDS[0]), {})
    coarse = [cell for cell in COARSE if lattice.setting(cell) not in whole]
    if coarse:
        return Planned(lattice.samples, lattice.setting(coarse[0]), SEEDS[0])
    best = _lowest(lattice, whole)
    neighbour = _unknown_neighbour(lattice, best, whole)
    if neighbour is not None:
        return Planned(lattice.samples, neighbour, SEEDS[0])
    for part in SHORTER:
        samples = lattice.samples // part
        known = losses.get((samples, SEEDS[0]), {})
        centre = _lowest(lattice, known) if known else best
        if lattice.setting(centre) not in known:
            return Planned(samples, lattice.setting(centre), SEEDS[0])
        neighbour = _unknown_neighbour(lattice, centre, known)
        if neighbour is not None:
            return Planned(samples, neighbour, SEEDS[0])
    return _missing_by_time(lattice, losses)


def _missing_by_time(
    lattice: Lattice, losses: Mapping[tuple[int, int], dict[Setting, float]]
) -> Planned | None:
    """Return what is missing once times to an equal loss can be told."""
    by_length = {samples: known for (samples, seed), known in losses.items() if seed == SEEDS[0]}
    # Once the leaders have further seeds, another may lead, whose neighbours are then missing.
    whole = {
        setting: statistics.fmean(
            losses[lattice.samples, seed][setting]
            for seed in SEEDS
            if setting in losses.get((lattice.samples, seed), {})
        )
        for setting in by_length[lattice.samples]
    }
    by_length[lattice.samples] = whole
    judge = Judge(times=lattice.times, samples=lattice.samples, losses=by_length)
    by_time = sorted(whole, key=lambda setting: judge.log_time(setting.batch_size, whole[setting]))
    neighbour = _unknown_neighbour(lattice, lattice.places[by_time[0]], whole)
    if neighbour is not None:
        return Planned(lattice.samples, neighbour, SEEDS[0])
    leaders = {by_time[0], min(whole, key=whole.__getitem__), *by_time[:_MOST_LEADERS]}
    for seed in SEEDS[1:]:
        for setting in sorted(leaders, key=by_time.index):
            if setting not in losses.get((lattice.samples, seed), {}):
                return Planned(lattice.samples, setting, seed)
    return None


def _lowest(lattice: Lattice, losses: Mapping[Setting, float]) -> Cell:
    return lattice.places[min(losses, key=losses.__getitem__)]


def _unknown_neighbour(
    lattice: Lattice, cell: Cell, losses: Mapping[Setting, float]
) -> Setting | None:
    settings = map(lattice.setting, lattice.neighbours(cell))
    return next((setting for setting in settings if setting not in losses), None)
