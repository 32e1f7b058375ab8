"""A configuration for LightningCLI, whose ``trainer`` part are arguments of ``Trainer``."""

from __future__ import annotations

from typing import Any

from bsadvise.exports.formats.settings import learning_rate, precision, present
from bsadvise.model.advice import Advice

USAGE = (
    "python train.py fit --config advice.yaml, with data.batch_size and model.learning_rate as "
    "your own classes name them"
)

_PRECISIONS = {"fp64": "64-true", "fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def settings(advice: Advice) -> dict[str, Any]:
    """Return arguments of ``Trainer``, the data module and the module."""
    return present(
        trainer=present(
            accumulate_grad_batches=advice.accumulation_steps,
            devices=advice.world_size,
            precision=precision(advice, _PRECISIONS),
        ),
        data={"batch_size": advice.micro_batch_size},
        model=present(learning_rate=learning_rate(advice)),
    )
