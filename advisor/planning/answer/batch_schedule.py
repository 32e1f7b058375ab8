"""A growing batch, where the noise scale is seen to grow enough for it to pay.

    𝓑_i   noise scale during rung i of the reference's training
    n_i   samples of that rung
    B₀    the reference's batch
    t(B)  seconds of a step

A step of batch B brings 1/(1 + 𝓑/B) of what a step without noise would (McCandlish et al., arXiv
1812.06162), so that rung i was worth p_i = n_i/(B₀ + 𝓑_i) of those. A batch B gets as far in
p_i·(1 + 𝓑_i/B)·t(B) seconds, on p_i·(B + 𝓑_i) samples. While 𝓑 is small a small batch does that
fastest, and later a large one; batch warm-up is based on that (arXiv 2505.23971).

What comes out is a prediction, as by any rule: no training with a growing batch was run. So it
is given only where the growth is clear of what the noise scales' intervals leave open, where it
saves a good share of the time of the best fixed batch, and where the batch that
trials chose is on its way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bsadvise.model.advice import BatchStage

from advisor.estimators.efficiency import fastest_batch_size, relative_samples, relative_steps
from advisor.estimators.noise_scale import NoiseScale


@dataclass(frozen=True, slots=True)
class RungNoise:
    """The noise scale of one rung of the reference's training.

    Attributes:
        first_sample: Samples seen before it.
        noise_scale: 𝓑 during it.
    """

    first_sample: int
    noise_scale: NoiseScale


def plan_batches(
    rungs: Sequence[RungNoise],
    *,
    horizon_samples: int,
    reference_batch_size: int,
    batch_size: int,
    batch_sizes: Sequence[int],
    step_time_s: Callable[[int], float],
    dataset_size: int,
    min_saving: float,
) -> tuple[BatchStage, ...]:
    """Return the stages of a growing batch; empty where a fixed one is as good.

    Args:
        rungs: What was measured, in the order of training.
        horizon_samples: Where the reference's training is considered until, samples.
        reference_batch_size: B₀, with which it trained.
        batch_size: The batch that was chosen.
        batch_sizes: Those that a stage may have.
        step_time_s: t(B); infinite where B cannot be run, which the chosen one can.
        dataset_size: Samples of an epoch.
        min_saving: Share of the time, from 0 to below 1, that a growing batch must save at least.
    """
    if len(rungs) < 2 or not _has_clear_growth(rungs):
        return ()
    ends = [*(rung.first_sample for rung in rungs[1:]), horizon_samples]
    noises = [rung.noise_scale.value for rung in rungs]
    progress = [
        max(0, end - rung.first_sample) / relative_samples(reference_batch_size, noise)
        for rung, end, noise in zip(rungs, ends, noises, strict=True)
    ]

    def time_s(sizes: Sequence[int]) -> float:
        return math.fsum(
            share * relative_steps(size, noise) * step_time_s(size)
            for share, noise, size in zip(progress, noises, sizes, strict=True)
        )

    candidates = [size for size in {*batch_sizes, batch_size} if math.isfinite(step_time_s(size))]
    fastest = (fastest_batch_size(candidates, noise, step_time_s) for noise in noises)
    # A batch that has grown stays: a noise scale that falls again did so by chance.
    growing = list(itertools.accumulate(fastest, max))
    fixed_s = min(time_s([size] * len(noises)) for size in candidates)
    if not growing[0] <= batch_size <= growing[-1]:
        return ()
    if time_s(growing) >= (1 - min_saving) * fixed_s:
        return ()
    return _stages(growing, progress, noises, dataset_size)


def _has_clear_growth(rungs: Sequence[RungNoise]) -> bool:
    first, last = rungs[0].noise_scale.interval, rungs[-1].noise_scale.interval
    return first is not None and last is not None and first[1] < last[0]


def _stages(
    sizes: Sequence[int], progress: Sequence[float], noises: Sequence[float], dataset_size: int
) -> tuple[BatchStage, ...]:
    """Return one stage for each batch, by the samples that the growing batch will have seen."""
    stages: list[BatchStage] = []
    seen = 0.0
    for size, share, noise in zip(sizes, progress, noises, strict=True):
        if not stages or stages[-1].effective_batch_size != size:
            epoch = float(f"{seen / dataset_size:.3g}")
            stages.append(BatchStage(from_epoch=epoch, effective_batch_size=size))
        seen += share * relative_samples(size, noise)
    return tuple(stages)
