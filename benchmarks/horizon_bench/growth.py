"""Whether critical batch sizes grow with the samples seen as the law's prior says.

The table has optimizer steps to a held-out loss by batch size, for models of five sizes, each to a
loss of its own (Zhang et al., arXiv 2410.21676). B_c is that of E(1 + B/B_c) samples, by least
squares of logarithms; E is also the least number of samples to that loss.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from advisor.estimators.horizon_tuning import HorizonTuning
from advisor.estimators.quantiles import Z_80


def growth_rows(path: Path, tuning: HorizonTuning) -> Iterator[dict[str, Any]]:
    """Yield one row for each model after the first: measured and predicted growth since that."""
    steps: dict[str, dict[float, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            steps.setdefault(row["model"], {})[float(row["batch"])] = float(row["steps"])
    (first, *others) = [(model, *critical_batch(known)) for model, known in steps.items()]
    exponent = tuning.batch_exponent
    for model, critical, least in others:
        far = math.log(least / first[2])
        measured = math.log(critical / first[1])
        yield {
            "model": model,
            "samples_factor": math.exp(far),
            "measured": math.exp(measured),
            "predicted": math.exp(exponent.mean * far),
            "is_in_interval": abs(measured / far - exponent.mean) <= Z_80 * exponent.deviation,
        }


def critical_batch(steps: dict[float, float]) -> tuple[float, float]:
    """Return B_c and E, both in samples.

    Args:
        steps: To the loss, by batch size.
    """
    batches = np.array(list(steps))
    logs = np.log(batches * np.array(list(steps.values())))
    candidates = np.exp(np.linspace(np.log(batches[0]), np.log(batches[-1]), 400))
    off = logs - np.log1p(batches / candidates[:, None])
    place = int(off.var(axis=1).argmin())
    return float(candidates[place]), float(np.exp(off[place].mean()))
