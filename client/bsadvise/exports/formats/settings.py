"""What of an advice is a setting, for every format: what was trained with, and nothing else.

Neither a batch schedule nor what rules give beside (``companions``, ``clip_gradient_norm``) was
run: those are in the whole answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bsadvise.model.advice import Advice, Evidence
from bsadvise.model.caveats import CaveatCode
from bsadvise.printable import printable

_PRECISIONS = {name: name for name in ("fp64", "fp32", "bf16", "fp16")}


def present(**settings: Any) -> dict[str, Any]:  # noqa: ANN401 - numbers, words and tables of them
    """Return the settings that have a value: not None, an empty table, or no finite number."""
    return {name: value for name, value in settings.items() if _is_present(value)}


def learning_rate(advice: Advice) -> float | None:
    """Return the learning rate; None where no rate has an effect, or none was chosen."""
    is_unused = any(one.code == CaveatCode.LEARNING_RATE_UNUSED for one in advice.caveats)
    return None if is_unused or not advice.learning_rate > 0 else advice.learning_rate


def precision(advice: Advice, names: Mapping[str, str]) -> str | None:
    """Return a library's name of the precision; None where it has none.

    Args:
        advice: The answer.
        names: The library's names by ours: "fp64", "fp32", "bf16" and "fp16".
    """
    return names.get(advice.precision)


def optimizer(advice: Advice) -> dict[str, Any]:
    """Return arguments of the optimizer that was trained with, as torch names them."""
    return present(
        lr=learning_rate(advice),
        weight_decay=advice.weight_decay,
        betas=list(advice.betas),
        momentum=advice.momentum,
    )


def dataloader(advice: Advice, batch_size: int) -> dict[str, Any]:
    """Return arguments of each process's DataLoader, as torch names them."""
    return present(
        batch_size=batch_size,
        num_workers=advice.loader_workers,
        drop_last=advice.drop_last or None,
    )


def all_settings(advice: Advice) -> dict[str, Any]:
    """Return every setting under the name that it has in ``Advice``."""
    return present(
        micro_batch_size=advice.micro_batch_size,
        accumulation_steps=advice.accumulation_steps,
        world_size=advice.world_size,
        effective_batch_size=advice.effective_batch_size,
        learning_rate=learning_rate(advice),
        warmup_steps=advice.warmup_steps,
        weight_decay=advice.weight_decay,
        betas=list(advice.betas),
        momentum=advice.momentum,
        # No other word: a shell may read it.
        precision=precision(advice, _PRECISIONS),
        loader_workers=advice.loader_workers,
        drop_last=advice.drop_last or None,
    )


def remarks(advice: Advice) -> list[str]:
    """Return what a setting rests on and what to know of it, each in one line."""
    split = f"{advice.micro_batch_size} x {advice.accumulation_steps} x {advice.world_size}"
    lines = [
        f"bsadvise: batch {advice.effective_batch_size} ({split}) on {advice.device}",
        "verified in a fresh process" if advice.verified else "NOT verified: it was not run",
        f"learning rate: {_evidence(advice)}",
    ]
    if advice.world_size > 1:
        lines.append(f"for {advice.world_size} processes, each with a GPU of its own")
    lines += [f"caveat: {one.text}" for one in advice.caveats]
    # A line end would end a comment.
    return [printable(" ".join(line.split())) for line in lines]


def _evidence(advice: Advice) -> str:
    if learning_rate(advice) is None:
        return "none advised; keep your own"
    if advice.lr_evidence is Evidence.MEASURED:
        return "measured in trials"
    return f"by rule, not measured: {advice.lr_rule}"


def _is_present(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is not None and value != [] and value != {}
