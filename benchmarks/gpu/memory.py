"""Predicted memory against what a card reserves, for the eight models of the memory benchmark.

The largest batch within a limit is predicted, then trained with in a fresh process in a plain loop
whose allocator has that limit. Without a GPU two of the models are run, on a CPU whose live tensors
are counted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bsadvise import Client
from bsadvise.model.device import Device

from benchmarks.gpu.report import Report
from benchmarks.memory_bench.cases import CASES, Case
from benchmarks.memory_bench.tools import in_fresh_process, real_peak

_CARD_LIMIT_FACTOR = 16
"""A card's limit over that of the CPU's benchmark: 2 to 6 GiB."""
_SMALL = ("mlp", "gpt")
_SMALL_LIMIT_DIVISOR = 2
_WITH_TRANSFORMERS = ("bert", "vit")
_STEPS = 3


def measure(name: str, report: Report, *, is_small: bool, limit_s: float) -> None:  # noqa: ARG001
    """Note each model's figures, then those of all.

    Raises:
        SystemExit: A size that was said to fit did not.
    """
    if is_small:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = []
    with Client() as client:
        for case in _cases(is_small=is_small):
            if case.name in _WITH_TRANSFORMERS and find_spec("transformers") is None:
                report.note(case.name, {"skipped": "Transformers is not installed"})
                continue
            found.append(_measure(client, case, is_small=is_small))
            report.note(case.name, found[-1])
    summary = summarise(found)
    report.note("summary", summary)
    if summary["misfit_count"]:
        raise SystemExit(f"{summary['misfit_count']} models did not fit as predicted")


def _cases(*, is_small: bool) -> list[Case]:
    if is_small:
        small = [case for case in CASES if case.name in _SMALL]
        return [replace(c, limit_bytes=c.limit_bytes // _SMALL_LIMIT_DIVISOR) for c in small]
    return [replace(case, limit_bytes=case.limit_bytes * _CARD_LIMIT_FACTOR) for case in CASES]


def _measure(client: Client, case: Case, *, is_small: bool) -> dict[str, Any]:
    device = "cpu" if is_small else "auto"
    estimate = client.estimate_memory(case.path, device=device, memory_limit_bytes=case.limit_bytes)
    batch_size = estimate.max_micro_batch_size
    predicted = {p.micro_batch_size: p.peak_bytes for p in estimate.points}.get(batch_size)
    if batch_size == 0:
        raise SystemExit(f"{case.name}: no batch was predicted to fit {case.limit_bytes} bytes")
    real = (
        {"peak_bytes": in_fresh_process(real_peak, case, batch_size).peak_bytes}
        if is_small
        else in_fresh_process(_train_on_card, case.path, batch_size, case.limit_bytes)
    )
    return compare(case.limit_bytes, batch_size, predicted, real) | {
        "traced_sizes": [point.micro_batch_size for point in estimate.points],
        "caveats": [str(caveat.code) for caveat in estimate.caveats],
    }


def compare(
    limit_bytes: int, batch_size: int, predicted_bytes: int | None, real: dict[str, Any]
) -> dict[str, Any]:
    """Return one model's figures.

    Args:
        limit_bytes: What its steps might take.
        batch_size: The largest that was predicted to fit.
        predicted_bytes: The peak that was predicted for it; None where none was.
        real: What was measured: ``peak_bytes``, None where it ran out of memory, and more.
    """
    peak_bytes = real["peak_bytes"]
    return {
        "limit_bytes": limit_bytes,
        "batch_size": batch_size,
        "predicted_bytes": predicted_bytes,
        **real,
        "fits": peak_bytes is not None and peak_bytes <= limit_bytes,
        "margin_share": None if peak_bytes is None else round(1 - peak_bytes / limit_bytes, 5),
        "prediction_error": (
            None
            if peak_bytes is None or predicted_bytes is None
            else round(predicted_bytes / peak_bytes - 1, 5)
        ),
    }


def summarise(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the figures of all models come to."""
    errors = [one["prediction_error"] for one in found if one["prediction_error"] is not None]
    margins = [one["margin_share"] for one in found if one["margin_share"] is not None]
    return {
        "model_count": len(found),
        "misfit_count": sum(not one["fits"] for one in found),
        "out_of_memory_count": sum(one["peak_bytes"] is None for one in found),
        "lowest_margin_share": min(margins, default=None),
        "largest_margin_share": max(margins, default=None),
        "worst_prediction_error": max(errors, key=abs, default=None),
    }


def _train_on_card(path: Path, batch_size: int, limit_bytes: int) -> dict[str, Any]:
    """Train for some steps, and return what the allocator and NVML say was taken."""
    import torch  # noqa: PLC0415 - in the process that trains alone

    from advisor.devices.inventory import LocalInventory  # noqa: PLC0415
    from advisor.worker.loop.torch_device import memory_fraction  # noqa: PLC0415
    from advisor.worker.user.batch_tree import move  # noqa: PLC0415
    from advisor.worker.user.oom import out_of_memory  # noqa: PLC0415
    from benchmarks.memory_bench.task import LEARNING_RATE, load_task  # noqa: PLC0415

    inventory = LocalInventory()
    before = inventory.find("auto")
    card = torch.device("cuda:0")
    total_bytes = torch.cuda.get_device_properties(card).total_memory
    torch.cuda.set_per_process_memory_fraction(memory_fraction(limit_bytes, total_bytes), card)
    torch.manual_seed(0)
    task = load_task(path)
    fits = True
    try:
        model = task.build_model().to(card).train()
        optimizer = task.build_optimizer(model.parameters(), LEARNING_RATE)
        for _ in range(_STEPS):
            batch = move(task.make_batch(batch_size), card)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(task.loss_fn(model, batch))
            optimizer.step()
            del batch  # It would be there beside the next.
        torch.cuda.synchronize(card)
    except RuntimeError as error:
        if out_of_memory(error) is None:
            raise
        fits = False
    reserved_bytes = torch.cuda.max_memory_reserved(card)
    stats = torch.cuda.memory_stats(card)
    after = inventory.find(before.device_id)
    taken_bytes = _used_bytes(after) - _used_bytes(before)
    own = [process.used_bytes for process in after.processes if process.is_own]
    return {
        "peak_bytes": reserved_bytes if fits else None,
        "allocated_bytes": torch.cuda.max_memory_allocated(card),
        # Where it had to release cached segments, the step ran at a fraction of its speed.
        "allocation_retry_count": stats.get("num_alloc_retries", 0),
        "nvml_card_bytes": taken_bytes,
        "nvml_process_bytes": own[0] if own else None,
        "context_bytes": taken_bytes - torch.cuda.memory_reserved(card),
    }


def _used_bytes(device: Device) -> int:
    """Return what processes use of a card by NVML's count."""
    return device.total_bytes - (device.free_bytes or 0) - (device.reserved_bytes or 0)
