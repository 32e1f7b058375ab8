"""The planner's answers for eight workloads, without training: ``python -m benchmarks.answers``.

The real planner runs on the recordings of ``benchmarks.regret``, so that a change of the planner
that should not change answers can be checked in a minute. ``--check`` lists the answers that differ
from the saved ones, and fails if there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from benchmarks.regret_bench.answers import COSTS
from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.replaying import searched
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results" / "answers.json"

_SEED = 0
_SIGNIFICANT_DIGITS = 9
"""Of the figures that are saved and compared; the last few of a double's 16 differ between
processors, which add in different orders in numpy and BLAS."""

Answer = dict[str, Any]


def main() -> int:
    """Search, print the answers, save or check them, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    answers = [
        answer(surface, cost)
        for surface in (Surface(read_recording(path_of(name))) for name in arguments.workloads)
        for cost in COSTS
    ]
    Console(width=120).print(table(answers))
    if arguments.check:
        changes = changed(read_answers(), answers)
        print("\n".join(changes) or "These are the answers that are written down.")
        return bool(changes)
    others = [one for one in read_answers() if one["workload"] not in arguments.workloads]
    document = {"command": "python -m benchmarks.answers", "seed": _SEED}
    lines = ",\n  ".join(json.dumps(one) for one in sorted([*others, *answers], key=_order))
    head = json.dumps({**document, "answers": []}, indent=1).removesuffix("[]\n}")
    RESULTS.write_text(f"{head}[\n  {lines}\n ]\n}}\n", encoding="utf-8")
    return 0


def answer(surface: Surface, cost: float | None) -> Answer:
    """Return the answer of a search on a workload, as it is saved.

    Args:
        surface: The workload.
        cost: Seconds that trials may take, over the oracle's time; None for the default budget.
    """
    advice, log = searched(surface, RecommendationPlanner(OptunaProposer()), cost, _SEED)
    interval = advice.expected_speedup_interval
    ratio = surface.ratio(Setting(advice.effective_batch_size, advice.learning_rate))
    return {
        "workload": surface.recording.workload,
        "cost_over_oracle": cost,
        "effective_batch_size": advice.effective_batch_size,
        "learning_rate": _rounded(advice.learning_rate),
        "expected_speedup_over_reference": _rounded(advice.expected_speedup_over_reference),
        "expected_speedup_interval": interval and [_rounded(interval.low), _rounded(interval.high)],
        "noise_scale": _rounded(advice.noise_scale),
        "confidence": advice.confidence.value,
        "caveat_count": len(advice.caveats),
        "trial_count": advice.search.trial_count,
        "pruned_count": advice.search.pruned_count,
        "measurement_count": len(log),
        "measured_s": _rounded(advice.search.wall_s),
        "time_over_oracle": _rounded(ratio),
    }


def read_answers() -> list[Answer]:
    """Return the saved answers."""
    if not RESULTS.exists():
        return []
    answers: list[Answer] = json.loads(RESULTS.read_text(encoding="utf-8"))["answers"]
    return answers


def changed(old: Sequence[Answer], new: Sequence[Answer]) -> list[str]:
    """Return a line for each field of a new answer that differs from the old one."""
    known = {_order(one): one for one in old}
    changes = []
    for one in new:
        was = known.get(_order(one), {})
        for field, is_now in one.items():
            if was.get(field) != is_now:
                where = f"{one['workload']}, {_cost(one)}"
                changes.append(f"{where}: {field}: {was.get(field)} -> {is_now}")
    return changes


def table(answers: Sequence[Answer]) -> Table:
    """Return one row for each answer."""
    result = Table(title="Answers on recorded curves; times are over the oracle's")
    for heading in ("workload", "cost"):
        result.add_column(heading)
    for heading in ("batch", "learning rate", "expected speedup", "trials", "log", "time"):
        result.add_column(heading, justify="right")
    for one in answers:
        speedup = one["expected_speedup_over_reference"]
        result.add_row(
            one["workload"],
            _cost(one),
            str(one["effective_batch_size"]),
            f"{one['learning_rate']:.4g}",
            "" if speedup is None else f"{speedup:.3f}",
            str(one["trial_count"]),
            str(one["measurement_count"]),
            f"{one['time_over_oracle']:.3f}",
        )
    return result


def _order(one: Answer) -> tuple[int, float]:
    names = [workload.name for workload in WORKLOADS]
    cost = one["cost_over_oracle"]
    return names.index(one["workload"]), -1.0 if cost is None else cost


def _cost(one: Answer) -> str:
    cost = one["cost_over_oracle"]
    return "default" if cost is None else f"{cost:g}x"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", default=names, metavar="WORKLOAD", help=f"of {', '.join(names)}"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare with what is written down, and write nothing"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
