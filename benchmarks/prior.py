"""What a prior from earlier searches is worth, and what a wrong one costs.

``python -m benchmarks.prior`` runs the real planner on the recordings of ``benchmarks.regret``. A
search ends where its budget does, and a little more budget can give another answer: each figure is
the geometric mean over budgets that differ by some per cent. The prior of a workload is what one
search of it at twice the oracle's time has left; one that is off by 30 has both of its medians
multiplied by that, or divided.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bsadvise.model.advice import Advice
from bsadvise.model.commands import RecallAnswers
from bsadvise.model.measurements import Log, LogEstimate, Measurement, Prior
from rich.console import Console
from rich.table import Table

from advisor.estimators.law_prior import pool_priors
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.tuning.tuning import DEFAULT_TUNING, Tuning
from advisor.search.optuna_proposer import OptunaProposer
from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.modelled import ModelledWorker
from benchmarks.regret_bench.ours import carry_out, request_for
from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.replayed import ReplayedTrainer
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.trainer import CPU
from benchmarks.regret_bench.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results" / "prior.json"

TUNED_ON = ("digits_mlp", "char_gpt", "digits_cnn", "ngram_sgd")
"""Workloads that the prior's two tuned numbers were chosen on; the others judge them."""

COSTS = (0.25, 0.5, 1.0)
_NEARBY = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Factors of a cost over which a figure is averaged."""

_EARLIER_COST = 2.0
_FACTORS = {"none": None, "right": 1.0, "3 times": 3.0, "a 30th": 1 / 30, "30 times": 30.0}

Ratios = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One workload and one prior.

    Attributes:
        workload: Its name.
        kind: Which prior, a key of ``_FACTORS``.
        tuning: The planner's.
    """

    workload: str
    kind: str
    tuning: Tuning


def main() -> int:
    """Search, print, save, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    scaling = replace(
        DEFAULT_TUNING.estimators.scaling,
        **{name: value for name, value in vars(arguments).items() if name in _TUNED and value},
    )
    tuning = replace(DEFAULT_TUNING, estimators=replace(DEFAULT_TUNING.estimators, scaling=scaling))
    cases = [
        Case(workload=workload.name, kind=kind, tuning=tuning)
        for workload in WORKLOADS
        for kind in _FACTORS
    ]
    with ProcessPoolExecutor(arguments.processes) as pool:
        ratios = list(pool.map(ratios_of, cases))
    rows = [
        {
            "workloads": group,
            "cost_over_oracle": cost,
            "prior": kind,
            "time_over_oracle": round(statistics.geometric_mean(found), 3),
            "worst": round(max(found), 3),
        }
        for group, names in _groups().items()
        for cost in COSTS
        for kind in _FACTORS
        if (found := [r[cost] for c, r in zip(cases, ratios, strict=True)
                      if c.workload in names and c.kind == kind])
    ]  # fmt: skip
    Console(width=100).print(table(rows))
    if tuning == DEFAULT_TUNING:
        document = {"command": "python -m benchmarks.prior", "tuned_on": TUNED_ON, "rows": rows}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def ratios_of(case: Case) -> dict[float, float]:
    """Return the geometric mean of the answers' time over the oracle's, by cost."""
    surface = Surface(read_recording(path_of(case.workload)))
    prior = _prior(surface, case)
    return {
        cost: statistics.geometric_mean(
            _ratio(surface, case.tuning, near * cost, prior) for near in _NEARBY
        )
        for cost in COSTS
    }


def _prior(surface: Surface, case: Case) -> Prior | None:
    factor = _FACTORS[case.kind]
    if factor is None:
        return None
    _, log = _searched(surface, case.tuning, _EARLIER_COST, None)
    planner = _planner(case.tuning)
    request = request_for(surface.recording, surface.target_loss, None, 0)
    found = planner.prior_from(planner.read(request, (CPU,), log))
    if found is None:
        raise SystemExit(f"{case.workload}: the earlier search left no law")
    pooled = pool_priors((found,), tuning=case.tuning.estimators.scaling)
    return replace(
        pooled,
        critical_batch_size=_off_by(factor, pooled.critical_batch_size),
        largest_rate=_off_by(factor, pooled.largest_rate),
    )


def _off_by(factor: float, estimate: LogEstimate | None) -> LogEstimate | None:
    return estimate and replace(estimate, median=factor * estimate.median)


def _ratio(surface: Surface, tuning: Tuning, cost: float, prior: Prior | None) -> float:
    advice, _ = _searched(surface, tuning, cost, prior)
    return surface.ratio(Setting(advice.effective_batch_size, advice.learning_rate))


def _searched(
    surface: Surface, tuning: Tuning, cost: float, prior: Prior | None
) -> tuple[Advice, Log]:
    recording = surface.recording
    worker = ModelledWorker(recording, ReplayedTrainer(surface), counts_overheads=False)
    request = request_for(recording, surface.target_loss, cost * surface.oracle_s, 0)
    recall = RecallAnswers(most_answers=1)
    begun = () if prior is None else (Measurement(command=recall, outcome=prior, wall_s=0.0),)
    return carry_out(request, worker, _planner(tuning), begun)


def _planner(tuning: Tuning) -> RecommendationPlanner:
    return RecommendationPlanner(OptunaProposer(), tuning)


def _groups() -> dict[str, tuple[str, ...]]:
    judges = tuple(one.name for one in WORKLOADS if one.name not in TUNED_ON)
    return {"tuned on": TUNED_ON, "judges": judges}


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return one row for each group, cost and prior."""
    result = Table(title="Time of the answer over the oracle's")
    for heading in ("workloads", "cost", "prior", "geometric mean", "worst"):
        result.add_column(heading)
    for row in rows:
        result.add_row(*map(str, row.values()))
    return result


_TUNED = ("between_search_deviation", "prior_share")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prior", description=__doc__)
    for name in _TUNED:
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=float, help="another value; nothing is saved then")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
