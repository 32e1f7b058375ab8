"""Searches on recordings, and what they came to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest, Source

from advisor.planning.evidence.budget import VERIFY_SHARE
from advisor.planning.planner import RecommendationPlanner
from benchmarks.regret_bench.found import NO_BUNDLE, Setting
from benchmarks.regret_bench.modelled import ModelledWorker
from benchmarks.regret_bench.replayed import ReplayedTrainer
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.trainer import CPU
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
    workload = surface.recording.workload
    request = AdviceRequest(
        source=Source(digest=NO_BUNDLE, entry_path=f"{workload}.py"),
        device=CPU.device_id,
        target_loss=surface.target_loss,
        budget_s=cost * surface.oracle_s / (1 - VERIFY_SHARE),
        seed=seed,
    )
    planner = RecommendationPlanner(SAMPLERS[variant.sampler](), variant.tuning)
    worker = ModelledWorker(surface.recording, ReplayedTrainer(surface), counts_overheads=False)
    log: Log = ()
    while not isinstance(plan := planner.plan(planner.read(request, (CPU,), log)), Advice):
        if isinstance(plan, Refusal):
            raise SystemExit(f"{workload}: {plan.message}")
        log += tuple(map(worker.measure, plan.commands))
    return Setting(plan.effective_batch_size, plan.learning_rate)
