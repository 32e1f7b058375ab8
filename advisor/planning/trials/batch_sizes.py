"""Which effective batches may be tried, and which one the noise scale predicts to be fastest."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train
from bsadvise.model.measurements import GradientNorms, TrainRun

from advisor.estimators.efficiency import fastest_batch_size
from advisor.estimators.noise_scale import NoiseScale, NoiseScaleTuning, estimate_noise_scale
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size
from advisor.planning.evidence.split import nearest_common_size
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.tuning.trials import BatchSizesTuning


def noise_scale_of(norms: GradientNorms, tuning: NoiseScaleTuning) -> NoiseScale | None:
    """Return 𝓑 as the norms of one rung determine it; None when they do not."""
    return estimate_noise_scale(
        norms.small_batch_size,
        norms.big_batch_size,
        norms.small_squared_norms,
        norms.big_squared_norms,
        tuning=tuning,
    )


@dataclass(frozen=True)
class BatchSizes:
    """The effective batches of a recommendation.

    Attributes:
        view: The log so far.
    """

    view: LogView

    @property
    def reference(self) -> int:
        """B₀, as near as W divides it."""
        return self.divisible(reference_batch_size(self.view))

    @cached_property
    def noise_scale(self) -> NoiseScale | None:
        """𝓑 as measured on the reference run; None when it was not."""
        runs = (run for _, run in self.view.figures(Train, TrainRun))
        norms = (run.gradient_norms for run in runs if run.gradient_norms is not None)
        tuning = self.view.tuning.estimators.noise_scale
        return next((noise_scale_of(one, tuning) for one in norms), None)

    def worth_trying(self) -> tuple[int, ...]:
        """Return the batch that was asked for; else B₀ and W times the powers of two.

        None makes too few steps an epoch, or in a trial.
        """
        request, profile = self.view.request, self.view.profile
        if request.effective_batch_size:
            return (request.effective_batch_size,)
        dataset_size = profile.dataset_size or self._tuning.unknown_dataset_size
        largest = dataset_size // self.view.tuning.evidence.reference.min_batches_per_epoch
        size = (2 if profile.batch_norm_layer_count else 1) * request.world_size
        sizes = [self.reference]
        while size <= largest:
            if self._is_informative(size):
                sizes.append(size)
            size *= 2
        return tuple(sizes)

    def finely(self) -> tuple[int, ...]:
        """Return the batches worth trying, and between each two the one in their middle."""
        sizes = sorted(set(self.worth_trying()))
        middles = (
            self.common(math.sqrt(low * high))
            for low, high in itertools.pairwise(sizes)
            if high > self._tuning.min_middle_ratio * low
        )
        finely = sorted({*sizes, *(size for size in middles if self._is_informative(size))})
        return tuple(size for size in finely if math.isfinite(self.step_time_s(size)))

    def _is_informative(self, size: int) -> bool:
        """Return whether the longest trial makes enough steps of a batch to show anything."""
        return self._longest_s >= self._tuning.min_trial_steps * self.step_time_s(size)

    @cached_property
    def _longest_s(self) -> float:
        return self._tuning.trial_share * self.view.model(RungSchedule).horizon_s

    @property
    def _tuning(self) -> BatchSizesTuning:
        return self.view.tuning.trials.batch_sizes

    def predicted(self) -> int:
        """Return the batch with the least S(B)·t(B); B₀ where the noise is not known."""
        if self.noise_scale is None and not self.view.request.effective_batch_size:
            return self.reference
        noise = 0.0 if self.noise_scale is None else self.noise_scale.value
        return fastest_batch_size(self.worth_trying(), noise, self.step_time_s)

    def common(self, batch_size: float) -> int:
        """Return the batch nearest to ``batch_size`` that may be tried.

        One of those worth trying as it is; of others one that gives each of the W replicas a size
        that people use, between the smallest and the largest worth trying.
        """
        sizes = self.worth_trying()
        if batch_size in sizes:
            return int(batch_size)
        world_size = self.view.request.world_size
        nearest = nearest_common_size(batch_size / world_size) * world_size
        return max(min(sizes), min(nearest, max(sizes)))

    def divisible(self, batch_size: int) -> int:
        """Return the batch nearest to ``batch_size`` that W divides."""
        request = self.view.request
        if request.effective_batch_size == batch_size:
            return batch_size
        return max(1, round(batch_size / request.world_size)) * request.world_size

    def step_time_s(self, batch_size: int) -> float:
        """Return the seconds of an optimizer step; infinite for a batch that cannot be run."""
        cost = self.view.model(StepCost)
        split = cost.split(batch_size)
        return float("inf") if split is None else cost.step_time_s(split)
