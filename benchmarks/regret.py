"""Compares the advice with the best setting of a grid: ``python -m benchmarks.regret``.

``record`` trains the grid, ``compare`` asks every method and trains its answers, ``report``
prints tables and writes them as JSON and as a plot. Each resumes after an interruption.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

# Before torch and Lightning are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

from benchmarks.regret_bench.answers import COSTS, answers_path, forget_answers
from benchmarks.regret_bench.compare import compare
from benchmarks.regret_bench.methods import METHODS
from benchmarks.regret_bench.oracle import missing_settings, record
from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.report import document
from benchmarks.regret_bench.results import read_result
from benchmarks.regret_bench.summary import summarise
from benchmarks.regret_bench.table import (
    closing_lines,
    frontier_table,
    regrets_table,
    workloads_table,
)
from benchmarks.regret_bench.target import recorded_seeds
from benchmarks.regret_bench.workloads import DEVELOPMENT, WORKLOADS

RESULTS = Path(__file__).parent / "results" / "regret.json"
RECORDED_SEEDS = (0, 1, 2)
"""Seeds by whose medians the oracle is selected."""
SEEDS = (*RECORDED_SEEDS, 3, 4, 5)
"""All seeds of the comparison; the oracle's time is not biased by selection for the added ones."""


def main() -> int:
    """Run the task, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    match arguments.task:
        case "record":
            for workload in arguments.workloads:
                record(workload, arguments.seeds)
        case "compare":
            for workload in arguments.workloads:
                forget_answers(answers_path(workload.name), arguments.again, arguments.costs)
                recording = read_recording(path_of(workload.name))
                if any(missing_settings(recording, s) for s in recorded_seeds(recording)):
                    print(
                        f"{workload.name}: not all is recorded; the oracle may change", flush=True
                    )
                compare(recording, arguments.methods, arguments.seeds, arguments.costs)
        case "report":
            _report(arguments)
    return 0


def _report(arguments: argparse.Namespace) -> None:
    from benchmarks.regret_bench.plot import draw  # noqa: PLC0415 - only it needs matplotlib

    read = (
        read_result(workload, list(METHODS), arguments.seeds) for workload in arguments.workloads
    )
    results = [result for result in read if result is not None]
    if not results:
        raise SystemExit("nothing was compared yet")
    summary = summarise(results)
    console = Console(width=170)
    for table in (workloads_table(results), regrets_table(summary), frontier_table(summary)):
        console.print(table)
    for line in closing_lines(summary):
        console.print(line)
    output: Path = arguments.output
    output.write_text(json.dumps(document(results, summary), indent=1) + "\n", encoding="utf-8")
    draw(results, summary, output.with_suffix(".png"))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    by_name = {workload.name: workload for workload in (*WORKLOADS, *DEVELOPMENT)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regret", description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    for name in ("record", "compare", "report"):
        task = tasks.add_parser(name)
        task.add_argument(
            "workloads",
            nargs="*",
            type=by_name.__getitem__,
            default=list(WORKLOADS),
            metavar="WORKLOAD",
            help=f"of {', '.join(by_name)}; by default all but the last {len(DEVELOPMENT)}",
        )
        task.add_argument(
            "--seeds",
            type=lambda text: [int(seed) for seed in text.split(",")],
            default=list(RECORDED_SEEDS if name == "record" else SEEDS),
            metavar="N,…",
        )
    tasks.choices["report"].add_argument(
        "--output",
        type=Path,
        default=RESULTS,
        help="path of the JSON file; the plot gets the same name with .png",
    )
    _add_methods(tasks.choices["compare"], "--methods", list(METHODS), "methods to ask")
    _add_methods(tasks.choices["compare"], "--again", [], "methods to ask anew at these costs")
    tasks.choices["compare"].add_argument(
        "--costs",
        nargs="+",
        type=lambda text: None if text == "default" else float(text),
        default=list(COSTS),
        metavar="COST",
        help="over the oracle's time, or 'default'; all by default",
    )
    return parser.parse_args(arguments)


def _add_methods(
    parser: argparse.ArgumentParser, option: str, default: list[str], meaning: str
) -> None:
    parser.add_argument(
        option,
        nargs="+",
        choices=list(METHODS),
        default=default,
        metavar="METHOD",
        help=f"{meaning}, of {', '.join(METHODS)}",
    )


if __name__ == "__main__":
    sys.exit(main())
