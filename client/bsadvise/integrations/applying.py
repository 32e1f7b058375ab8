"""Sets an advised setting in a Transformers trainer, or in the arguments of one yet to be made.

What trials left as the script has it stays so: warm-up, schedule, weight decay and precision.
Trainers are known by what they have, so that nothing is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bsadvise.exports.formats.settings import learning_rate, present
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.errors import ApplyingFailed

_BATCH_SIZE = "per_device_train_batch_size"


def apply(advice: Advice, target: object) -> Mapping[str, Any]:
    """Set it; see ``Advice.apply``."""
    trainer: Any = target if hasattr(getattr(target, "args", None), _BATCH_SIZE) else None
    arguments: Any = target if trainer is None else trainer.args
    if not hasattr(arguments, _BATCH_SIZE):
        raise TypeError(
            f"apply takes a transformers.Trainer or its TrainingArguments, not a "
            f"{type(target).__name__}; a Lightning Trainer is given "
            "bsadvise.integrations.lightning.BatchSizeAdvisor(), and "
            "bsadvise.exports.formats has the settings of other libraries"
        )
    if any(one.code == CaveatCode.OBSERVED_ONLY for one in advice.caveats):
        raise ApplyingFailed("the script was only observed: no setting is advised to be applied")
    check_arguments(arguments, advice.world_size)
    settings = arguments_of(advice)
    for name, value in settings.items():
        setattr(arguments, name, value)
    if trainer is not None:
        _apply_to_trainer(advice, trainer)
    return settings


def arguments_of(advice: Advice) -> dict[str, Any]:
    """Return what is set, under the names of ``TrainingArguments``."""
    return present(
        per_device_train_batch_size=advice.micro_batch_size,
        gradient_accumulation_steps=advice.accumulation_steps,
        learning_rate=learning_rate(advice),
        dataloader_num_workers=advice.loader_workers,
        dataloader_drop_last=advice.drop_last or None,
    )


def check_arguments(arguments: Any, world_size: int) -> None:  # noqa: ANN401 - TrainingArguments
    """Raise ApplyingFailed where a trainer with these would not keep to an advised batch.

    Args:
        arguments: The trainer's arguments.
        world_size: Replicas that the advice is for.
    """
    if getattr(arguments, "auto_find_batch_size", False):
        raise ApplyingFailed(
            "auto_find_batch_size lets the trainer shrink the batch without its learning rate; "
            "give TrainingArguments(auto_find_batch_size=False)"
        )
    replicas = replicas_of(arguments)
    if replicas != world_size:
        raise ApplyingFailed(
            f"advice for {world_size} device(s) is not for this trainer, which uses {replicas}: "
            f"ask for world_size={replicas} (--gpus {replicas}), or set CUDA_VISIBLE_DEVICES to "
            f"{world_size} of them"
        )


def replicas_of(arguments: Any) -> int:  # noqa: ANN401 - TrainingArguments
    """Return on how many devices a trainer trains: of each process, and of all of them."""
    return max(1, int(arguments.n_gpu)) * int(arguments.world_size)


def _apply_to_trainer(advice: Advice, trainer: Any) -> None:  # noqa: ANN401 - the user's
    # The trainer takes note of its batch when it is made, and of no later change of its arguments.
    trainer._train_batch_size = trainer.args.train_batch_size  # noqa: SLF001
    rate = learning_rate(advice)
    if trainer.optimizer is not None and rate is not None:
        _set_peak_rate(trainer.optimizer, trainer.lr_scheduler, rate)


def _set_peak_rate(optimizer: Any, scheduler: Any, rate: float) -> None:  # noqa: ANN401
    """Scale an optimizer's rates, so that the first group's peak is ``rate``.

    A scheduler multiplies ``base_lrs``, the rates that it found when it was made.
    """
    groups = optimizer.param_groups
    factor = rate / groups[0].get("initial_lr", groups[0]["lr"])
    for group in groups:
        for name in ("lr", "initial_lr"):
            if name in group:
                group[name] = group[name] * factor
    if hasattr(scheduler, "base_lrs"):
        scheduler.base_lrs = [base * factor for base in scheduler.base_lrs]
