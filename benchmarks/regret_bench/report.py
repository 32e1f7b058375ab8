"""The results as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.memory_bench.machine import describe_machine
from benchmarks.regret_bench.found import DEFAULT_BUDGET_S
from benchmarks.regret_bench.methods import METHODS
from benchmarks.regret_bench.results import Result
from benchmarks.regret_bench.summary import Summary
from benchmarks.regret_bench.target import CAP

_PACKAGES = ("bsadvise", "torch", "optuna", "lightning")


def document(results: Sequence[Result], summary: Summary) -> dict[str, object]:
    """Return the content of the JSON file."""
    return {
        "command": "make bench-regret",
        "machine": describe_machine(_PACKAGES),
        "default_budget_s": DEFAULT_BUDGET_S,
        "cap": CAP,
        "methods": {name: entry.title for name, entry in METHODS.items()},
        "summary": asdict(summary) | {"interval_share": summary.coverage.share},
        "results": [_with_ratios(result) for result in results],
    }


def _with_ratios(result: Result) -> dict[str, object]:
    asked = dict.fromkeys((one.method, one.share) for one in result.judged)
    ratios = [
        {
            "method": method,
            "share": share,
            "over_oracle": result.ratio(method, share),
            "cost_over_oracle": result.cost(method, share),
        }
        for method, share in asked
    ]
    return asdict(result) | {"ratios": ratios}
