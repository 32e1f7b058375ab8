"""Arguments of Transformers' ``TrainingArguments``, and of TRL's, which inherit them."""

from __future__ import annotations

from typing import Any

from bsadvise.exports.formats.settings import learning_rate, present
from bsadvise.model.advice import Advice

USAGE = (
    'TrainingArguments(output_dir, **json.load(open("advice.json"))), with the optimizer that was '
    "trained with: Trainer's own is AdamW"
)


def settings(advice: Advice) -> dict[str, Any]:
    """Return the arguments by name."""
    beta1, beta2 = advice.betas if len(advice.betas) == 2 else (None, None)
    return present(
        per_device_train_batch_size=advice.micro_batch_size,
        gradient_accumulation_steps=advice.accumulation_steps,
        learning_rate=learning_rate(advice),
        warmup_steps=advice.warmup_steps,
        weight_decay=advice.weight_decay,
        adam_beta1=beta1,
        adam_beta2=beta2,
        bf16=advice.precision == "bf16",
        fp16=advice.precision == "fp16",
        dataloader_num_workers=advice.loader_workers,
        dataloader_drop_last=advice.drop_last or None,
    )
