"""What all tasks do alike with parts that are made: seeds, the place in the data, checks."""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.worker.data.random_state import seed_everything
from advisor.worker.data.source import DataSource
from advisor.worker.loop.recipe import Recipe, World
from advisor.worker.loop.step import Parts
from advisor.worker.loop.training import Measure, StandardTraining


def refuse_several(world: World, what: str) -> None:
    """Refuse to be one of several processes.

    Raises:
        ValueError: Several are to take part.
    """
    if world.size != 1:
        raise ValueError(f"{what} is trained by one process")


def seed_weights(recipe: Recipe) -> None:
    """Seed what the weights are drawn with."""
    seed_everything(recipe.weights_seed)


def assemble(
    parts: Parts,
    recipe: Recipe,
    data: DataSource,
    device: torch.device,
    *,
    precision: str,
    measure: Measure | None,
) -> StandardTraining:
    """Return the training of some parts, about to draw what it draws at random.

    Args:
        parts: What is trained.
        recipe: How it is trained.
        data: What it is trained on.
        device: Where batches are moved to.
        precision: The recipe's, or else the task's.
        measure: The user's held-out measure; None for the mean loss a sample.
    """
    training = StandardTraining(
        recipe,
        parts,
        data,
        device,
        precision=precision,
        first_sample=recipe.first_position(data.epoch_size),
        measure=measure,
    )
    # After the data, whose opening seeds too: a process's first training is like any other.
    seed_everything(recipe.training_seed)
    return training


def loss_problem(loss: object) -> tuple[str, str] | None:
    """Return what is wrong with what stands for a loss, and the remedy; None where nothing is."""
    if isinstance(loss, tuple | list | dict):
        return (
            f"The loss is a {type(loss).__name__}, not a tensor.",
            "Return the loss alone, without what stands beside it.",
        )
    if not isinstance(loss, Tensor):
        return (
            f"The loss is a {type(loss).__name__}, not a tensor.",
            "Return the loss as a tensor, without `.item()` or `float()`.",
        )
    if loss.numel() != 1:
        return (
            f"The loss is a tensor of shape {list(loss.shape)}, not a scalar.",
            "Return its mean over the batch, for example `loss.mean()`.",
        )
    if not loss.is_floating_point():
        return f"The loss is of type {loss.dtype}.", "Return a loss of a float type."
    if torch.is_grad_enabled() and not loss.requires_grad:
        return (
            "The loss does not depend on the model's trainable parameters.",
            "Leave out `.detach()`, `.data` and `torch.no_grad()` on the way to the loss.",
        )
    return None
