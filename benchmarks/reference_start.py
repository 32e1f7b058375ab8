"""Whether trials should start from the reference run's weights.

Run as ``python -m benchmarks.reference_start``. All candidates are trained for a small fraction of
the oracle's time, from fresh weights and from the weights of the reference recipe after the same
time, and the one with the lowest loss is selected. The recordings of ``benchmarks.regret`` give its
time to target.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

# Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.memory_bench.machine import describe_machine
from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.reference_start import Screening, screen
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.trainer import Trainer
from benchmarks.regret_bench.workloads import DEVELOPMENT, WORKLOADS

RESULTS = Path(__file__).parent / "results" / "reference_start.json"
SEED = 0


def main() -> int:
    """Train, print the results, save them, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    screenings: list[Screening] = []
    for workload in arguments.workloads:
        surface = Surface(read_recording(path_of(workload)))
        with tempfile.TemporaryDirectory() as scratch:
            screenings.extend(screen(surface, Trainer(workload, Path(scratch), SEED)))
    Console(width=120).print(table(screenings))
    output: Path = arguments.output
    output.write_text(json.dumps(document(screenings), indent=1) + "\n", encoding="utf-8")
    return 0


def table(screenings: Sequence[Screening]) -> Table:
    """Return one row per start and g: ratios of the selected settings, and rank correlations."""
    workloads = list(dict.fromkeys(one.workload for one in screenings))
    result = Table(
        title="Time to the target of the lowest loss over the oracle's (rank correlation of "
        "losses and times)"
    )
    for title in ("start", "each trained for"):
        result.add_column(title)
    for title in (*workloads, "mean"):
        result.add_column(title, justify="right")
    for start, share in sorted(dict.fromkeys((one.start, one.share) for one in screenings)):
        row = [one for one in screenings if (one.start, one.share) == (start, share)]
        mean = statistics.geometric_mean(one.ratio for one in row)
        correlation = statistics.fmean(one.rank_correlation for one in row)
        cells = [_cell(one.ratio, one.rank_correlation) for one in row]
        result.add_row(start, f"{share:g}x", *cells, _cell(mean, correlation))
    return result


def document(screenings: Sequence[Screening]) -> dict[str, object]:
    """Return the content of the JSON file."""
    return {
        "command": "python -m benchmarks.reference_start",
        "machine": describe_machine(("bsadvise", "torch")),
        "seed": SEED,
        "screenings": [
            {
                "workload": one.workload,
                "start": one.start,
                "share_of_oracle": one.share,
                "batch_size": one.chosen.batch_size,
                "learning_rate": one.chosen.learning_rate,
                "over_oracle": round(one.ratio, 4),
                "rank_correlation": round(one.rank_correlation, 4),
            }
            for one in screenings
        ],
    }


def _cell(ratio: float, correlation: float) -> str:
    return f"{ratio:.2f} ({correlation:.2f})"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [workload.name for workload in (*WORKLOADS, *DEVELOPMENT)]
    tuned = [workload.name for workload in WORKLOADS if not workload.is_held_out]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reference_start", description=__doc__
    )
    parser.add_argument(
        "workloads",
        nargs="*",
        default=tuned,
        metavar="WORKLOAD",
        help=f"of {', '.join(names)}; those not held out by default",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
