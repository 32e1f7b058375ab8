"""The held-out loss of a checkpoint, and how long it takes to measure."""

from __future__ import annotations

from contextlib import closing
from time import perf_counter

from bsadvise.model.commands import Evaluate
from bsadvise.model.measurements import Evaluation

from advisor.worker.loop.checkpoints import Checkpoints
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.session import Session


def evaluate(session: Session, checkpoints: Checkpoints, command: Evaluate) -> Evaluation:
    """Return the held-out loss of a checkpoint, or of fresh weights."""
    session.device.limit_allocator()
    recipe = Recipe(
        micro_batch_size=command.evaluation_batch_size,
        seed=session.task.seed,
        is_loss_sum=command.is_loss_sum,
    )
    with closing(session.build(recipe)) as training:
        if command.checkpoint is not None:
            training.restore(checkpoints.load(command.checkpoint))
        begun_s = perf_counter()
        loss = training.evaluate(command.evaluation_batch_size)
        return Evaluation(held_out_loss=loss, evaluation_s=perf_counter() - begun_s)
