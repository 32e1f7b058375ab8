"""Converts the grids that come with Step Law (Li et al., arXiv 2503.04715) into a table.

``python -m benchmarks.horizon_bench.step_law dense_lr_bs_loss.csv steplaw_dense.csv``. The source
states no licence, so that nothing of it is kept here.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from benchmarks.horizon_bench.record import COLUMNS

_SEQUENCE_TOKENS = 2048


def main() -> int:
    """Convert, and return the exit code."""
    source, target = (Path(argument) for argument in sys.argv[1:])
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            experts = row.get("moe_name")
            model = f"moe_{experts}" if experts else f"dense_{round(float(row['N']) / 1e6)}M"
            samples = round(float(row["D"]) / _SEQUENCE_TOKENS)
            loss = f"{float(row['smooth loss']):.6g}"
            rate = f"{float(row['lr']):.4g}"
            writer.writerow((model, row["bs"], rate, samples, loss, "cosine", "adam"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
