"""Trains a setting stretch by stretch, so that whoever has seen enough can stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bsadvise.model.commands import Train
from bsadvise.model.measurements import TrainRun

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.trainer import EVALUATION_BATCH_SIZE, LIMIT_S, Trainer

_CHECKPOINT = "stretch"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a training.

    Attributes:
        steps: Optimizer steps, from the training's first, at which the loss was looked at.
        losses: Held-out loss at each.
        diverged: Whether a loss was not finite; it is then the last stretch.
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    diverged: bool


def train_in_stretches(
    trainer: Trainer, setting: Setting, ends: Sequence[int], looks: Sequence[int] = ()
) -> Iterator[Stretch]:
    """Train from fresh weights, and yield each stretch when it has been trained.

    Args:
        trainer: Trains the workload.
        setting: The batch and the rate.
        ends: Steps at which stretches end, rising; the loss is looked at there.
        looks: Further steps at which to look at it, rising.
    """
    begun = 0
    for end in ends:
        marks = tuple(look for look in looks if begun < look < end)
        command = Train(
            time_limit_s=LIMIT_S,
            micro_batch_size=setting.batch_size,
            accumulation_steps=1,
            learning_rate=setting.learning_rate,
            step_count=end - begun,
            evaluation_steps=tuple(mark - begun for mark in marks),
            evaluation_batch_size=EVALUATION_BATCH_SIZE,
            first_sample=begun * setting.batch_size,
            start_checkpoint=_CHECKPOINT if begun else None,
            save_checkpoint=_CHECKPOINT,
        )
        run = trainer.ask(command, TrainRun)
        last = () if run.held_out_loss is None else (run.held_out_loss,)
        losses = tuple(float(f"{loss:.5g}") for loss in (*run.earlier_losses, *last))
        yield Stretch((*marks, end)[: len(losses)], losses, run.diverged)
        if run.diverged:
            return
        begun = end
