"""Trains a setting rung by rung, so that the caller can stop early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bsadvise.model.commands import Train
from bsadvise.model.measurements import TrainRun

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.trainer import EVALUATION_BATCH_SIZE, LIMIT_S, Trainer

_CHECKPOINT = "rung"


@dataclass(frozen=True, slots=True)
class Rung:
    """A part of a training, from one checkpoint to the next.

    Attributes:
        steps: Optimizer steps, counted from the start of training, after which was evaluated.
        losses: Held-out loss at each.
        diverged: Whether a loss was not finite; it is then the last rung.
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    diverged: bool


def train_in_rungs(
    trainer: Trainer, setting: Setting, ends: Sequence[int], evaluation_steps: Sequence[int] = ()
) -> Iterator[Rung]:
    """Train from fresh weights, and yield each rung when it has been trained.

    Args:
        trainer: Trains the workload.
        setting: The batch and the rate.
        ends: Steps at which rungs end, ascending; the loss is evaluated there.
        evaluation_steps: Further steps after which to evaluate, ascending.
    """
    begun = 0
    for end in ends:
        marks = tuple(step for step in evaluation_steps if begun < step < end)
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
        yield Rung((*marks, end)[: len(losses)], losses, run.diverged)
        if run.diverged:
            return
        begun = end
