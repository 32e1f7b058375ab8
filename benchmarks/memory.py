"""Compares searches for the largest batch: ``python -m benchmarks.memory``.

Prints a table and writes the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.memory_bench.cases import CASES, Case
from benchmarks.memory_bench.found import ModelResult
from benchmarks.memory_bench.machine import describe_machine
from benchmarks.memory_bench.summary import summarise
from benchmarks.memory_bench.table import results_table, summary_table
from benchmarks.memory_bench.tools import (
    OURS,
    TOOLS,
    in_fresh_process,
    real_peak,
    search,
    true_max,
)

RESULTS = Path(__file__).parent / "results" / "memory.json"


def main() -> int:
    """Run the benchmark, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    console = Console(width=170)
    with tempfile.TemporaryDirectory() as state_dir:
        _prepare_environment(state_dir)
        machine = describe_machine()
        results = [_measure(case, console) for case in arguments.models]
    summaries = summarise(results)
    console.print(results_table(results))
    console.print(summary_table(summaries, len(results)))
    document = {
        "machine": machine,
        "summary": {tool: asdict(summary) for tool, summary in summaries.items()},
        "results": [_as_json(result) for result in results],
    }
    arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _prepare_environment(state_dir: str) -> None:
    """Settle what every process of the benchmark inherits."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"  # Nothing is downloaded, nor asked for.
    # A daemon of its own, with nothing remembered.
    os.environ.pop("BSADVISE_ADDRESS", None)
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        os.environ[variable] = state_dir


def _measure(case: Case, console: Console) -> ModelResult:
    found = {}
    for tool in TOOLS:
        found[tool] = in_fresh_process(search, tool, case)
        one = found[tool]
        console.print(f"{case.name}: {tool}: {one.batch_size} in {one.search_s:.2f} s")
    largest = in_fresh_process(true_max, case)
    console.print(f"{case.name}: true maximum {largest}")
    predicted = found[OURS].predicted_peak
    peak = None
    if predicted is not None and predicted.batch_size <= largest:
        peak = in_fresh_process(real_peak, case, predicted.batch_size)
    return ModelResult(
        model=case.name,
        limit_bytes=case.limit_bytes,
        true_max=largest,
        found=found,
        real_peak=peak,
    )


def _as_json(result: ModelResult) -> dict[str, object]:
    document = asdict(result)
    for tool in result.found:
        document["found"][tool] |= {
            "of_true_max": result.ratio(tool),
            "fits": result.fits(tool),
            "peak_error": result.peak_error(tool),
        }
    return document


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    by_name = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument(
        "--models",
        type=lambda text: [by_name[name] for name in text.split(",")],
        default=list(CASES),
        metavar="NAME,…",
        help=f"of {', '.join(by_name)}; all by default",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
