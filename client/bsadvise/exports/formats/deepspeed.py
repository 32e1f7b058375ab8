"""DeepSpeed's configuration.

https://www.deepspeed.ai/docs/config-json/: ``train_batch_size`` must be the product of the other
two and the number of GPUs, else DeepSpeed refuses the file.
"""

from __future__ import annotations

from typing import Any

from bsadvise.exports.formats.settings import present
from bsadvise.model.advice import Advice

USAGE = (
    'deepspeed.initialize(config="ds_config.json"); the learning rate goes to the optimizer that '
    "you give it"
)


def settings(advice: Advice) -> dict[str, Any]:
    """Return the batch and the precision; the optimizer and its rate stay the caller's."""
    replicas = advice.accumulation_steps * advice.world_size
    return present(
        train_batch_size=advice.micro_batch_size * replicas,
        train_micro_batch_size_per_gpu=advice.micro_batch_size,
        gradient_accumulation_steps=advice.accumulation_steps,
        bf16={"enabled": True} if advice.precision == "bf16" else None,
        fp16={"enabled": True} if advice.precision == "fp16" else None,
    )
