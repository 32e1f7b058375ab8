"""The held-out loss."""

from __future__ import annotations

import math
import time
from contextlib import closing
from typing import Any

import torch
from bsadvise.model.commands import Evaluate
from bsadvise.model.measurements import Evaluation
from torch import Tensor

from advisor.worker.data.source import HeldOutLoader
from advisor.worker.loop.checkpoints import Checkpoints
from advisor.worker.loop.session import Workshop
from advisor.worker.loop.step import TrainingStep
from advisor.worker.user.batch_tree import count_samples, move


def evaluate(workshop: Workshop, checkpoints: Checkpoints, command: Evaluate) -> Evaluation:
    """Return the held-out loss of a checkpoint, or of fresh weights."""
    workshop.placement.limit_allocator()
    step = workshop.build_step()
    if command.checkpoint is not None:
        checkpoints.load_model(command.checkpoint, step)
    begun_s = time.perf_counter()
    loss = held_out_loss(step, command.evaluation_batch_size)
    return Evaluation(held_out_loss=loss, evaluation_s=time.perf_counter() - begun_s)


def held_out_loss(step: TrainingStep, batch_size: int) -> float | None:
    """Return the held-out measure of a model: lower is better.

    The user's ``evaluate`` where there is one, else the mean loss a sample.

    Returns:
        None when it is not finite, or when nothing is held out.
    """
    if step.task.data.evaluation_size == 0:
        return None
    if step.task.file.evaluate is not None:
        measure = _by_the_user(step, batch_size)
    else:
        measure = _mean_loss(step, batch_size)
    return measure if math.isfinite(measure) else None


def _mean_loss(step: TrainingStep, batch_size: int) -> float:
    total = torch.zeros((), dtype=torch.float64)
    sample_count = 0
    with closing(step.task.data.held_out_batches(batch_size)) as batches:
        for batch in batches:
            count = count_samples(batch) or 1
            total += count * step.evaluate(batch).double().cpu().reshape(())
            sample_count += count
    return float(total) / max(sample_count, 1)


def _by_the_user(step: TrainingStep, batch_size: int) -> float:
    function = step.task.file.evaluate
    hooks = step.task.hooks
    step.model.eval()

    def prepare(batch: Any) -> Any:  # noqa: ANN401 - the user's batch
        return move(batch, step.device)

    loader = HeldOutLoader(step.task.data, batch_size, prepare)
    with torch.no_grad():
        value = hooks.call("evaluate", function, step.model, loader)  # type: ignore[arg-type]
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise hooks.reject(
            "evaluate",
            f"evaluate returns a {type(value).__name__}, not a number.",
            "Return one number of which less is better.",
            function=function,
        )
    return float(value)
