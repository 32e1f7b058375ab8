"""A device whose trainings end as the horizon law says, with planted exponents.

    symbol  meaning                                                           unit
    D       samples seen                                                      samples
    c       cost of the setting by the law, in ln data                        –
    L       loss                                                              loss

    L = (D·e^(−c))^(−0.2)

at the end of a decay. Before it, and at a constant rate, half of the samples count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from bsadvise.model.commands import Evaluate, Train
from bsadvise.model.measurements import Evaluation, Outcome, TrainRun

from advisor.estimators.horizon_law import HorizonLaw
from tests.support.simulated_device import SimulatedDevice, fresh_errors

_SLOPE = 0.2
_UNDECAYED = 0.5
_INITIAL_LOSS = 1.0


@dataclass
class LawfulDevice(SimulatedDevice):
    """A simulated device that learns by the law.

    Attributes:
        batch_exponent: p of the best batch in the samples.
        best_batch_size: B₀, the best batch of ``law_samples``.
        best_rate: η₀, its best peak rate.
        law_samples: D₀.
        beginning_cost: What c gains in the first steps of a training with batches above
            ``beginning_batch_size``: how the law may be wrong of a longer training.
        beginning_batch_size: See there.
    """

    batch_exponent: float = 0.56
    best_batch_size: float = 64.0
    best_rate: float = 0.2
    law_samples: float = 1e5
    beginning_cost: float = 0.0
    beginning_batch_size: int = 0

    def cost(self, batch_size: int, rate: float, samples: float) -> float:
        """Return c of a training."""
        law = HorizonLaw(
            samples=self.law_samples,
            log_batch_size=np.array([math.log(self.best_batch_size)]),
            log_rate=np.array([math.log(self.best_rate)]),
            batch_exponent=np.array([self.batch_exponent]),
            log_knee=np.array([0.5]),
            rate_exponent=np.array([-0.15]),
            slope=np.array([0.8]),
            rate_curvature=np.array([0.2]),
            small_batch_curvature=np.array([0.2]),
            large_batch_curvature=np.array([0.2]),
        )
        return float(law.cost(batch_size, rate, samples)[0])

    def final_loss(self, batch_size: int, rate: float, samples: float) -> float:
        """Return L at the end of a training of its own schedule."""
        return math.exp(-_SLOPE * (math.log(samples) - self.cost(batch_size, rate, samples)))

    def _outcome(self, command: object) -> Outcome:
        if isinstance(command, Evaluate):
            return Evaluation(held_out_loss=_INITIAL_LOSS, evaluation_s=self.look_s)
        return super()._outcome(command)  # type: ignore[arg-type] # any command

    def _train(self, command: Train) -> TrainRun:
        steps, size = self._steps_in_time(command), command.effective_batch_size
        begun = command.first_sample // size
        marks = (*(mark for mark in command.evaluation_steps if mark < steps), steps)
        *looks, loss = (self._loss_after(command, begun + mark) for mark in marks)
        return TrainRun(
            step_count=steps,
            sample_count=steps * size,
            train_losses=(),
            earlier_losses=tuple(looks),
            held_out_loss=loss,
            diverged=False,
            gradient_norms=self._norms(command, fresh_errors()) if command.measure_noise else None,
        )

    def _loss_after(self, command: Train, steps: int) -> float:
        size, rate = command.effective_batch_size, command.learning_rate
        samples = float(steps * size)
        schedule = command.schedule
        if schedule is not None and schedule.total_steps == steps:
            return self.final_loss(size, rate, samples)
        cost = self.cost(size, rate, samples)
        if schedule is not None and size > self.beginning_batch_size:
            cost += self.beginning_cost
        return math.exp(-_SLOPE * (math.log(_UNDECAYED * samples) - cost))
