"""A recommendation for one model file of this folder, with what was measured for it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from bsadvise import Client
from bsadvise.model.advice import Advice
from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import Recommendation

from benchmarks.gpu.report import Report

MODELS = Path(__file__).parent / "models"
_LARGE, _SMALL = "IS_SMALL = False", "IS_SMALL = True"
_BUDGET_SHARE = 0.6
"""Of the step's time; the rest is for compiling, verifying and the daemon's start."""
_SMALL_BUDGET_S = 4.0
_SMALL_LIMIT_BYTES = 256 << 20
_KEPT = (
    "micro_batch_size", "max_micro_batch_size", "accumulation_steps", "effective_batch_size",
    "learning_rate", "precision", "verified", "budget_bytes", "predicted_peak_bytes",
    "measured_peak_bytes", "samples_per_s", "step_time_s", "time_per_epoch_s", "noise_scale",
    "expected_speedup_over_reference", "mean_power_w", "energy_per_epoch_j", "sandbox",
)  # fmt: skip


def measure(name: str, report: Report, *, is_small: bool, limit_s: float) -> None:
    """Ask for advice on the model file of that name, and note it.

    Raises:
        SystemExit: There is none, or its setting ran out of memory.
    """
    options: dict[str, Any] = (
        {
            "device": "cpu", "memory_limit_bytes": _SMALL_LIMIT_BYTES,
            "budget_s": min(_SMALL_BUDGET_S, _BUDGET_SHARE * limit_s),
        }
        if is_small
        else {"device": "auto", "budget_s": _BUDGET_SHARE * limit_s}
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, Client() as client:
        models = Path(shutil.copytree(MODELS, Path(folder) / "models"))
        if is_small:
            shrink(models / "scale.py")
        job = client.create_recommendation(models / f"{name}.py", use_cache=False, **options)
        # A cancelled search gives the best answer so far.
        cancelling = threading.Timer(limit_s, client.cancel, (job.recommendation_id,))
        cancelling.start()
        try:
            for _ in client.watch(job.recommendation_id):
                pass
        finally:
            cancelling.cancel()
        job = client.get(job.recommendation_id)
        log = client.measurements(job.recommendation_id)
    report.note("log", describe_log(log))
    report.note("state", str(job.state.value))
    if job.advice is None:
        raise SystemExit(f"no advice: {_why(job)}")
    report.note("advice", describe(job.advice))
    if job.advice.search.out_of_memory_count:
        raise SystemExit(f"{job.advice.search.out_of_memory_count} commands ran out of memory")


def describe(advice: Advice) -> dict[str, Any]:
    """Return what an answer comes to; the margin is what the verified setting leaves."""
    measured, search = advice.measured_peak_bytes, advice.search
    return {
        **{name: getattr(advice, name) for name in _KEPT},
        "confidence": advice.confidence.value,
        "margin_share": None if measured is None else round(1 - measured / advice.budget_bytes, 5),
        "caveats": [str(caveat.code) for caveat in advice.caveats],
        "wall_s": search.wall_s,
        "trial_count": search.trial_count,
        "out_of_memory_count": search.out_of_memory_count,
    }


def describe_log(log: tuple[Measurement, ...]) -> list[dict[str, Any]]:
    """Return each command of a search, with how it ended and how long it took."""
    return [
        {
            "command": type(entry.command).__name__,
            "micro_batch_size": getattr(entry.command, "micro_batch_size", None),
            "outcome": type(entry.outcome).__name__,
            "wall_s": round(entry.wall_s, 3),
            "mean_power_w": entry.mean_power_w,
            "peak_bytes": getattr(entry.outcome, "peak_bytes", None),
            "reserved_bytes": getattr(entry.outcome, "reserved_bytes", None),
        }
        for entry in log
    ]


def _why(job: Recommendation) -> str:
    return "none was found in time" if job.refusal is None else job.refusal.message


def shrink(path: Path) -> None:
    """Have the models built in their small size.

    Args:
        path: A copy of ``scale.py``.
    """
    source = path.read_text(encoding="utf-8")
    if source.count(_LARGE) != 1:
        raise ValueError(f"{path.name} does not say {_LARGE!r} once")
    path.write_text(source.replace(_LARGE, _SMALL), encoding="utf-8")
