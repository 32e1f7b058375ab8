"""Arguments of Composer's ``Trainer``, and of the loader and optimizer that it is given.

Composer accumulates by itself: its loader gives what one device takes in an optimizer step, which
the trainer cuts into micro-batches.
"""

from __future__ import annotations

from typing import Any

from bsadvise.exports.formats.settings import dataloader, optimizer, precision, present
from bsadvise.model.advice import Advice

USAGE = "Trainer(**trainer), DataLoader(data, **dataloader), AdamW(params, **optimizer)"

_PRECISIONS = {"fp32": "fp32", "bf16": "amp_bf16", "fp16": "amp_fp16"}


def settings(advice: Advice) -> dict[str, Any]:
    """Return the arguments of each of the three by name."""
    return present(
        trainer=present(
            device_train_microbatch_size=advice.micro_batch_size,
            precision=precision(advice, _PRECISIONS),
        ),
        dataloader=dataloader(advice, advice.micro_batch_size * advice.accumulation_steps),
        optimizer=optimizer(advice),
    )
