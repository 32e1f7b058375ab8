"""Trials that were never run: learning curves by formula, for what compares and chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train, TrialOrigin
from bsadvise.model.measurements import TrainRun

from advisor.estimators.learning_curve import LearningCurve
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.trials import Trial, Trials
from advisor.ports.proposer import Point
from tests.support.builders import a_device, a_request, an_inspection

_EVALUATIONS_PER_DOUBLING = 4
_DOUBLINGS = 7

_STEPS = 100

Loss = Callable[[float], float]
"""Of modelled seconds."""


@dataclass(frozen=True)
class GivenTrials(Trials):
    """Trials that are in no log.

    Attributes:
        given: All of them, the reference first.
    """

    given: tuple[Trial, ...] = ()

    @cached_property
    def all(self) -> tuple[Trial, ...]:
        """What was given."""
        return self.given


def ranking_of(
    *trials: Trial, view: LogView | None = None, target_loss: float | None = None
) -> Ranking:
    """Return the ranking of trials, the reference first."""
    if view is None:
        view = LogView(a_request(target_loss=target_loss), (a_device(),), (an_inspection(),))
    return Ranking(GivenTrials(view, trials))


def power_law(exponent: float = 0.5, scale: float = 1.0) -> Loss:
    """Return the losses of a training that goes on to fall as it has."""
    return lambda time_s: float(scale * time_s**-exponent)


def a_trial(
    number: int,
    loss: Loss,
    *,
    end_s: float = 8.0,
    target_loss: float | None = None,
    batch_size: int = 32,
    lr_multiplier: float = 1.0,
    learning_rate: float | None = None,
    replicates_s: Sequence[float] = (),
    diverged: bool = False,
) -> Trial:
    """Return a trial that was trained in one rung, with four evaluations a doubling."""
    rate = 0.1 * lr_multiplier if learning_rate is None else learning_rate
    curve = a_curve(loss, end_s)
    return Trial(
        number=number,
        origin=TrialOrigin.NEIGHBOUR,
        split=Split(batch_size, 1, 1),
        learning_rate=rate,
        point=Point(effective_batch_size=batch_size, lr_multiplier=lr_multiplier),
        curve=curve,
        time_to_target_s=None if target_loss is None else curve.smooth().time_to(target_loss),
        commands=(_command(batch_size, rate),),
        runs=(_run(batch_size, None if diverged else curve.losses[-1]),),
        fault=None,
        replicates_s=tuple(replicates_s),
    )


def a_curve(loss: Loss, end_s: float) -> LearningCurve:
    """Return the curve of a formula."""
    count = _DOUBLINGS * _EVALUATIONS_PER_DOUBLING
    times_s = tuple(end_s * 2 ** (part / _EVALUATIONS_PER_DOUBLING) for part in range(-count, 1))
    return LearningCurve(times_s, tuple(map(loss, times_s)))


def _command(batch_size: int, learning_rate: float) -> Train:
    return Train(
        time_limit_s=60.0,
        micro_batch_size=batch_size,
        accumulation_steps=1,
        learning_rate=learning_rate,
        step_count=_STEPS,
        evaluation_batch_size=256,
    )


def _run(batch_size: int, loss: float | None) -> TrainRun:
    return TrainRun(
        step_count=_STEPS,
        sample_count=_STEPS * batch_size,
        train_losses=(),
        held_out_loss=loss,
        diverged=loss is None,
    )
