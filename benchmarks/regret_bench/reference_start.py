"""Trials from fresh weights against trials from the reference run's weights: which predict better.

g            seconds that every trial is trained for, over T, the oracle's time to target
"reference"  start: weights and optimizer state of the reference recipe, trained for g·T
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from bsadvise.model.commands import Train
from bsadvise.model.measurements import TrainRun

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.oracle import grid
from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.target import reference_setting
from benchmarks.regret_bench.trainer import EVALUATION_BATCH_SIZE, LIMIT_S, Trainer

SHARES = (0.05, 0.1, 0.2)
"""The g that are tried."""

_BATCH_FACTOR = 4
_REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Screening:
    """What short trainings of all candidates predicted.

    Attributes:
        workload: Its name.
        start: From where the trials started, "fresh" or "reference".
        share: g.
        chosen: The setting whose held-out loss was lowest.
        ratio: Its time to the target over the oracle's.
        rank_correlation: Of the losses with the times to the target, over all candidates.
    """

    workload: str
    start: str
    share: float
    chosen: Setting
    ratio: float
    rank_correlation: float


def screen(surface: Surface, trainer: Trainer) -> Iterator[Screening]:
    """Train all candidates, once for each g from either start, and yield how well they predict."""
    settings = candidates(surface.recording)
    durations_s = [share * surface.oracle_s for share in SHARES]
    fresh = {
        setting: _losses(trainer, setting, [_steps(surface, setting, d) for d in durations_s])
        for setting in settings
    }
    for index, (share, duration_s) in enumerate(zip(SHARES, durations_s, strict=True)):
        yield judge(surface, "fresh", share, {s: losses[index] for s, losses in fresh.items()})
        yield judge(
            surface, _REFERENCE, share, _from_reference(surface, trainer, settings, duration_s)
        )


def candidates(recording: Recording) -> list[Setting]:
    """Return the settings of the grid whose batch is within a factor of the reference's."""
    reference = recording.reference_batch_size
    return [
        Setting(size, rate)
        for size, rate in grid(recording)
        if reference / _BATCH_FACTOR <= size <= reference * _BATCH_FACTOR
    ]


def judge(surface: Surface, start: str, share: float, losses: Mapping[Setting, float]) -> Screening:
    """Return how well losses of trials predict the recorded times to target."""
    chosen = min(losses, key=lambda setting: losses[setting])
    ratios = [surface.ratio(setting) for setting in losses]
    return Screening(
        workload=surface.recording.workload,
        start=start,
        share=share,
        chosen=chosen,
        ratio=surface.ratio(chosen),
        rank_correlation=rank_correlation(list(losses.values()), ratios),
    )


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Return Spearman's ρ, ties at their mean rank; infinities are the highest of all."""
    return float(np.corrcoef(_ranks(left), _ranks(right))[0, 1])


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    return mean_ranks[place]


def _from_reference(
    surface: Surface, trainer: Trainer, settings: Sequence[Setting], duration_s: float
) -> dict[Setting, float]:
    reference = reference_setting(surface.recording)
    reference_steps = _steps(surface, reference, duration_s)
    _losses(trainer, reference, [reference_steps], save=_REFERENCE)
    seen = reference_steps * reference.batch_size

    def loss(setting: Setting) -> float:
        steps = [_steps(surface, setting, duration_s)]
        return _losses(trainer, setting, steps, start=_REFERENCE, first_sample=seen)[0]

    return {setting: loss(setting) for setting in settings}


def _steps(surface: Surface, setting: Setting, duration_s: float) -> int:
    return max(1, round(duration_s / surface.recording.step_time_s(setting.batch_size)))


def _losses(
    trainer: Trainer,
    setting: Setting,
    evaluation_steps: Sequence[int],
    *,
    start: str | None = None,
    first_sample: int = 0,
    save: str | None = None,
) -> list[float]:
    """Train to the last of some steps; return the held-out loss at each, infinite once diverged.

    A checkpoint holds the optimizer's state and none of its settings: the rate is the trial's own.
    """
    *marks, last = sorted(set(evaluation_steps))
    command = Train(
        time_limit_s=LIMIT_S,
        micro_batch_size=setting.batch_size,
        accumulation_steps=1,
        learning_rate=setting.learning_rate,
        step_count=last,
        evaluation_steps=tuple(marks),
        evaluation_batch_size=EVALUATION_BATCH_SIZE,
        first_sample=first_sample,
        start_checkpoint=start,
        save_checkpoint=save,
    )
    run = trainer.ask(command, TrainRun)
    end = () if run.held_out_loss is None else (run.held_out_loss,)
    seen = dict(zip((*marks, last), (*run.earlier_losses, *end), strict=False))
    return [seen.get(step, math.inf) for step in evaluation_steps]
