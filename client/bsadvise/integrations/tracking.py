"""What experiment trackers keep of an answer: parameters, figures, and the trials behind it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bsadvise.exports.formats.settings import all_settings
from bsadvise.exports.study import Study, make_study, measured_at_s
from bsadvise.model.advice import Advice
from bsadvise.version import __version__

if TYPE_CHECKING:
    from bsadvise.client import Client

_FIGURES = (
    "max_micro_batch_size", "predicted_peak_bytes", "measured_peak_bytes", "budget_bytes",
    "samples_per_s", "step_time_s", "time_per_epoch_s", "noise_scale", "critical_batch_size",
    "expected_speedup_over_reference", "mean_power_w", "energy_per_epoch_j", "cost_per_epoch",
)  # fmt: skip


def parameters(advice: Advice) -> dict[str, Any]:
    """Return what was advised, and how far to rely on it: numbers, words and lists of numbers."""
    return {
        **all_settings(advice),
        "device": advice.device,
        "verified": advice.verified,
        "confidence": advice.confidence.value,
        "lr_evidence": advice.lr_evidence.value,
        "fingerprint": advice.fingerprint,
    }


def figures(advice: Advice) -> dict[str, float]:
    """Return what was measured or predicted and is a finite number, by its name in ``Advice``."""
    values = {name: getattr(advice, name) for name in _FIGURES}
    values["search_wall_s"] = advice.search.wall_s
    return {
        name: value for name, value in values.items() if value is not None and math.isfinite(value)
    }


def study_of(client: Client, recommendation_id: str) -> Study:
    """Return the trials of a recommendation, finished or running.

    Raises:
        ExportFailed: It has none.
        BsadviseError: It cannot be read.
    """
    log = client.measurements(recommendation_id)
    ended_at_s = measured_at_s(client.watch(recommendation_id), len(log))
    return make_study(client.get(recommendation_id), log, ended_at_s, __version__)
