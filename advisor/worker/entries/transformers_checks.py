"""What a Transformers trainer is asked before it is trained, and what of it trials leave out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from advisor.worker.data.user_loader import shuffles
from advisor.worker.entries.fit_call import base_of

NOT_DIVIDED = (
    "The trainer adds the losses of accumulated micro-batches without dividing them, since this "
    "model's loss takes no notice of num_items_in_batch: gradients are as many times too large as "
    "there are micro-batches. Trials divide them; so will the trainer with "
    "`trainer.loss_is_scaled_for_ga = False` before train()."
)


_LIBRARIES = ("transformers.", "trl.", "sentence_transformers.")
"""Whose callbacks report, save, or begin an epoch."""


def precision_of(args: Any) -> str:  # noqa: ANN401 - TrainingArguments
    """Return "fp32", "bf16" or "fp16": what autocast is asked for."""
    return "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32"


def is_taken_for_share(trainer: Any) -> bool:  # noqa: ANN401 - a trainer
    """Return whether a trainer adds losses of micro-batches as they are, for reasons of its own.

    Not where the user says so, and not for causal language models, whose loss is known to count.
    """
    if getattr(trainer, "loss_is_scaled_for_ga", None) is not None:
        return False
    if trainer.compute_loss_func is not None:
        return True
    is_own = overrides_method(trainer, "compute_loss") or trainer.label_smoother is not None
    is_known = getattr(trainer, "_loss_shifts_labels", False) and not is_own
    return bool(trainer.model_accepts_loss_kwargs) and not is_known


def losses_by_count(trainer: Any, batch: Any) -> tuple[float, float] | None:  # noqa: ANN401
    """Return the losses of a batch in a step of as many labels as it has, and of twice as many.

    None where the trainer counts no labels.
    """
    model = trainer.model
    count = trainer._get_num_items_in_batch([batch], torch.device("cpu"))  # noqa: SLF001
    if count is None:
        return None
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            one, two = (
                float(trainer.compute_loss(model, copy.copy(batch), num_items_in_batch=n * count))
                for n in (1, 2)
            )
    finally:
        model.train(was_training)
    return one, two


def overrides_method(trainer: Any, name: str) -> bool:  # noqa: ANN401 - a trainer
    """Return whether a trainer's class has a method other than Transformers' own."""
    base = base_of(trainer, "Trainer")
    return base is not None and getattr(type(trainer), name, None) is not getattr(base, name, None)


def problem_of(trainer: Any) -> tuple[str, str] | None:  # noqa: ANN401 - a trainer
    """Return why a trainer cannot be trained here, and the remedy; None where it can."""
    kind, args = type(trainer), trainer.args
    if getattr(args, "deepspeed", None) or getattr(args, "fsdp", None):
        return (
            "The trainer shards its model over several processes.",
            "Leave out deepspeed and fsdp to be advised for one device.",
        )
    if hasattr(args, "num_generations"):
        return (
            f"{kind.__name__} generates its samples while it trains: they are no fixed data set.",
            "Its batch is a multiple of num_generations; there is no loss to compare batches by.",
        )
    loop = "_inner_training_loop"
    if overrides_method(trainer, loop):
        return (
            f"{kind.__name__} has a training loop of its own ({loop}).",
            "Override training_step or compute_loss in place of the loop.",
        )
    return None


def left_out(trainer: Any, loader: DataLoader[Any]) -> Iterator[str]:  # noqa: ANN401
    """Yield what the trainer does that trials do not."""
    callbacks = [type(callback) for callback in trainer.callback_handler.callbacks]
    own = [kind.__name__ for kind in callbacks if not kind.__module__.startswith(_LIBRARIES)]
    if own:
        yield f"Callbacks are not run: {', '.join(own)}."
    if getattr(trainer, "neftune_noise_alpha", None) is not None:
        yield "Trials add no NEFTune noise to the embeddings."
    if getattr(trainer.args, "torch_compile", False):
        yield "The model is measured without torch_compile."
    if not shuffles(loader):
        yield "The training loader does not shuffle; trials see the samples in random order."
    if trainer.args.n_gpu > 1 or trainer.args.world_size > 1:
        yield "The trainer uses several devices; the reference batch is that of one."
