"""Searches of the regret benchmark, of whose answers the README of the benchmarks tells.

On recorded curves nothing is trained, so that such a search is the same everywhere; a workload
that is trained for real has gradients and training losses to tell of as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from benchmarks.regret_bench.modelled import ModelledWorker
from benchmarks.regret_bench.ours import carry_out, request_for
from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.replayed import ReplayedTrainer
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.trainer import CPU, Trainer
from benchmarks.regret_bench.workloads import WORKLOADS
from tests.replay.recordings import Recording

_SEED = 0

_LONG = {"digits_finetune", "photograph_mlp", "ngram_sgd"}
"""Workloads of whose trainings within the default budget a file would be above 300 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A search on one workload of the benchmark.

    Attributes:
        workload: Its name.
        is_trained: Whether it is trained for real, or answered from recorded curves.
        cost: Seconds that trials may take, over the oracle's time; None for the default budget.
    """

    workload: str
    is_trained: bool
    cost: float | None = None

    @property
    def description(self) -> str:
        """What is searched for and what carries it out."""
        cost = "the default budget" if self.cost is None else f"{self.cost:g} of the oracle's times"
        how = "Trained for real" if self.is_trained else "Answered from the recorded curves"
        return (
            f"The benchmark's workload {self.workload}, seed {_SEED}, within {cost}. {how}; "
            "seconds are those of the benchmark's clock."
        )


def compete(contest: Contest, package_version: str) -> Recording:
    """Carry out a search; the recording holds no answer yet."""
    surface = Surface(read_recording(path_of(contest.workload)))
    cost_s = None if contest.cost is None else contest.cost * surface.oracle_s
    request = request_for(surface.recording, surface.target_loss, cost_s, _SEED)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        worker = ModelledWorker(
            surface.recording,
            Trainer(contest.workload, Path(scratch), _SEED)
            if contest.is_trained
            else ReplayedTrainer(surface),
            counts_overheads=contest.cost is None,
        )
        _, log = carry_out(request, worker, RecommendationPlanner(OptunaProposer()))
    return Recording(
        description=contest.description,
        package_version=package_version,
        request=request,
        device=CPU,
        log=log,
    )


def _contests() -> Iterator[tuple[str, Contest]]:
    for workload in WORKLOADS:
        name = f"benchmark_{workload.name}"
        if workload.name not in _LONG:
            yield name, Contest(workload=workload.name, is_trained=True)
        yield f"{name}_1x", Contest(workload=workload.name, is_trained=True, cost=1.0)
        yield f"{name}_on_curves", Contest(workload=workload.name, is_trained=False)


CONTESTS: Mapping[str, Contest] = dict(_contests())
