"""Searches on recordings, and what they came to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bsadvise.model.advice import Advice
from bsadvise.model.measurements import Log

from advisor.planning.planner import RecommendationPlanner
from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.modelled import ModelledWorker
from benchmarks.regret_bench.ours import carry_out, request_for
from benchmarks.regret_bench.replayed import ReplayedTrainer
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.variants import SAMPLERS, Variant


@dataclass(frozen=True, slots=True)
class Replay:
    """What a variant's answers at one cost are worth.

    Attributes:
        variant: How was searched.
        cost: Seconds that a search was allowed, over the oracle's time.
        ratios: By workload, the median over searches of the answer's time over the oracle's.
    """

    variant: Variant
    cost: float
    ratios: dict[str, float]

    @property
    def mean(self) -> float:
        """The geometric mean over the workloads."""
        return statistics.geometric_mean(self.ratios.values())

    @property
    def worst_workload(self) -> str:
        """Where the answers were worst."""
        return max(self.ratios, key=lambda name: self.ratios[name])


def replay(
    surfaces: Sequence[Surface], variant: Variant, cost: float, seeds: Sequence[int]
) -> Replay:
    """Search on every workload with every seed, and return what came of it."""
    ratios = {
        surface.recording.workload: statistics.median(
            surface.ratio(search(surface, variant, cost, seed)) for seed in seeds
        )
        for surface in surfaces
    }
    return Replay(variant, cost, ratios)


def search(surface: Surface, variant: Variant, cost: float, seed: int) -> Setting:
    """Return the planner's answer where trials may take ``cost`` of the oracle's times."""
    planner = RecommendationPlanner(SAMPLERS[variant.sampler](), variant.tuning)
    advice, _ = searched(surface, planner, cost, seed)
    return Setting(advice.effective_batch_size, advice.learning_rate)


def searched(
    surface: Surface, planner: RecommendationPlanner, cost: float | None, seed: int
) -> tuple[Advice, Log]:
    """Return the planner's advice for a workload, and what it rests on.

    Args:
        surface: The workload.
        planner: What plans the search.
        cost: Seconds that trials may take, over the oracle's time; None for the default budget,
            of which all else takes its part too.
        seed: Of the search.
    """
    recording = surface.recording
    cost_s = None if cost is None else cost * surface.oracle_s
    worker = ModelledWorker(recording, ReplayedTrainer(surface), counts_overheads=cost is None)
    request = request_for(recording, surface.target_loss, cost_s, seed)
    return carry_out(request, worker, planner)
