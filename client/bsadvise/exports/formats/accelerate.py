"""Arguments of Accelerate's ``Accelerator``, and of the loader and optimizer that it prepares."""

from __future__ import annotations

from typing import Any

from bsadvise.exports.formats.settings import dataloader, optimizer, precision, present
from bsadvise.model.advice import Advice

USAGE = "Accelerator(**accelerator), DataLoader(data, **dataloader), AdamW(params, **optimizer)"

_PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def settings(advice: Advice) -> dict[str, Any]:
    """Return the arguments of each of the three by name."""
    return present(
        accelerator=present(
            gradient_accumulation_steps=advice.accumulation_steps,
            mixed_precision=precision(advice, _PRECISIONS),
        ),
        dataloader=dataloader(advice, advice.micro_batch_size),
        optimizer=optimizer(advice),
    )
