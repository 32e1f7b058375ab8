"""Advice for a Transformers trainer, from the script that is about to train with it.

    trainer = Trainer(model, args, train_dataset=data)
    advice = recommend(trainer)
    advice.apply(args)
    trainer.train()

TRL's trainers, Sentence Transformers' and all others that inherit ``transformers.Trainer`` are
asked for alike. Nothing of Transformers is imported: whoever has a trainer has done that.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack

from bsadvise.integrations.applying import check_arguments, replicas_of
from bsadvise.integrations.running_script import is_observed, recommend_running_script
from bsadvise.model.advice import Advice, Confidence, Evidence
from bsadvise.model.request import AdviceOptions

if TYPE_CHECKING:
    from bsadvise.client import Client


class TrainerAdvice(Advice):
    """Advice that a trainer was the reason to ask for: its arguments are applied to it too."""

    __slots__ = ("_trainer",)

    _trainer: Any

    @classmethod
    def of(cls, advice: Advice, trainer: object) -> TrainerAdvice:
        """Return the advice for a trainer."""
        fields = {field.name: getattr(advice, field.name) for field in dataclasses.fields(advice)}
        made = cls(**fields)
        object.__setattr__(made, "_trainer", trainer)
        return made

    def apply(self, target: object) -> Mapping[str, Any]:
        """Set this setting in arguments, and in the trainer where they are its own."""
        is_own = target is self._trainer.args
        return Advice.apply(self, self._trainer if is_own else target)


def recommend(
    trainer: Any,  # noqa: ANN401 - a transformers.Trainer
    *,
    client: Client | None = None,
    include: Sequence[str | PathLike[str]] = (),
    quiet: bool = False,
    **options: Unpack[AdviceOptions],
) -> Advice:
    """Return advice for a trainer; blocks until it is there, for about ``budget_s``.

    The script that runs is measured as ``bsadvise recommend SCRIPT -- ARGUMENTS`` would. In the
    worker's run of it, this returns the setting that the trainer has.

    Args:
        trainer: The trainer, before its ``train``. Its model leaves the accelerator meanwhile.
        client: Whom to ask; None for a client of its own, as ``bsadvise.Client()`` finds its
            daemon.
        include: Files and folders to send with the script.
        quiet: Whether to show no progress on stderr.
        **options: What is asked for; see ``AdviceRequest``. The device is the CPU where the
            trainer trains on it, and else the daemon's choice.

    Raises:
        ApplyingFailed: The trainer could not be given what is asked for.
        BsadviseError: There is no advice; the class says why.
    """
    if is_observed():
        return own_setting(trainer.args)
    check_arguments(trainer.args, options.get("world_size") or 1)
    if trainer.args.device.type == "cpu":
        options.setdefault("device", "cpu")
    with _off_accelerator(trainer.model):
        advice = recommend_running_script(options, client=client, include=include, quiet=quiet)
    return TrainerAdvice.of(advice, trainer)


def own_setting(arguments: Any) -> Advice:  # noqa: ANN401 - TrainingArguments
    """Return what a trainer's arguments say as advice: applied, it changes nothing."""
    micro = int(arguments.per_device_train_batch_size)
    accumulation = int(arguments.gradient_accumulation_steps)
    world_size = replicas_of(arguments)
    return Advice(
        micro_batch_size=micro,
        max_micro_batch_size=micro,
        accumulation_steps=accumulation,
        world_size=world_size,
        effective_batch_size=micro * accumulation * world_size,
        learning_rate=float(arguments.learning_rate),
        lr_rule="its own",
        lr_evidence=Evidence.RULE,
        precision="bf16" if arguments.bf16 else "fp16" if arguments.fp16 else "fp32",
        device=str(arguments.device),
        verified=False,
        budget_bytes=0,
        confidence=Confidence.LOW,
    )


@contextmanager
def _off_accelerator(model: Any) -> Iterator[None]:  # noqa: ANN401 - a module
    """Keep a model in host memory for a while: what it takes of its device could not be measured.

    A model that ``device_map`` has divided, or that is quantized, cannot be moved.
    """
    device = getattr(model, "device", None)
    is_elsewhere = device is not None and device.type != "cpu"
    stays = any(getattr(model, name, None) for name in ("hf_device_map", "hf_quantizer"))
    if not is_elsewhere or stays:
        yield
        return
    model.to("cpu")
    sys.modules["torch"].cuda.empty_cache()
    try:
        yield
    finally:
        model.to(device)
