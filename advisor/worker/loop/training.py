"""The training of a model, an optimizer, a loss and data: the loop that tasks share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
from torch import Tensor, nn

from advisor.domain.limits import LOSS
from advisor.worker.data.random_state import random_state, random_state_kept, restore_random_state
from advisor.worker.data.source import DataSource
from advisor.worker.loop.observers import StepObserver
from advisor.worker.loop.optimizer_state import follow, group_settings, restored_optimizer
from advisor.worker.loop.protocol import StepResult, TrainingState
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.step import Parts, TrainingStep
from advisor.worker.user.batch_tree import count_samples

Measure = Callable[[nn.Module, int], float]
"""Returns the user's own held-out measure of a model, given the samples a batch."""


class StandardTraining:
    """Implements ``Training`` over parts that are made already."""

    def __init__(
        self,
        recipe: Recipe,
        parts: Parts,
        data: DataSource,
        device: torch.device,
        *,
        precision: str,
        first_sample: int,
        measure: Measure | None = None,
    ) -> None:
        """Take the parts over.

        Args:
            recipe: How to train.
            parts: What to train.
            data: Where batches come from.
            device: Where they are moved to.
            precision: The recipe's, or else the task's.
            first_sample: Position in the data order at which to begin, samples.
            measure: The user's held-out measure; None for the mean loss a sample.
        """
        self.recipe = recipe
        self._parts = parts
        self._data = data
        self._measure = measure
        self._step = TrainingStep(parts, device, recipe, precision=precision)
        self._settings = group_settings(parts.optimizer)
        self._step_count = 0
        self._next_sample = first_sample
        self._batches: Generator[Any, None, None] | None = None

    @property
    def model(self) -> nn.Module:
        """The model, on the device."""
        return self._parts.model

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Its optimizer."""
        return self._parts.optimizer

    @property
    def gradient_scale(self) -> float | None:
        """What gradients are of those of the mean over a step's samples; None where they are it."""
        return self._step.gradient_scale

    def step(
        self, batches: Iterator[Any] | None = None, *, observers: Sequence[StepObserver] = ()
    ) -> StepResult:
        """Take one whole optimizer step of ``accumulation_steps`` micro-batches."""
        recipe = self.recipe
        follow(recipe.schedule, self._step_count, self._parts.optimizer, self._settings)
        self._parts.hooks.begin(self._step_count)
        source = self._own_batches() if batches is None else batches
        loss = self._step.run(source, observers)
        multiplier = recipe.schedule.multiplier(self._step_count)
        self._step_count += 1
        if batches is None:
            self._next_sample += recipe.micro_batch_size * recipe.accumulation_steps
        return StepResult(loss=loss, learning_rate=recipe.learning_rate * multiplier)

    def accumulate(
        self, batches: Iterator[Any], *, observers: Sequence[StepObserver] = ()
    ) -> Sequence[Tensor]:
        """Leave the gradients of one step in the parameters, and update nothing."""
        self._parts.hooks.begin(self._step_count)
        return self._step.accumulate(batches, observers)

    def _own_batches(self) -> Iterator[Any]:
        if self._batches is None:
            self._batches = self._data.training_batches(
                self.recipe.micro_batch_size, first_sample=self._next_sample
            )
        return self._batches

    def evaluate(self, batch_size: int) -> float | None:
        """Return the held-out measure; None when not finite, or when nothing is held out."""
        if self._data.evaluation_size == 0:
            return None
        was_training = self.model.training
        with random_state_kept():
            self.model.eval()
            value = self._held_out(batch_size)
        self.model.train(was_training)
        return value if LOSS.holds(value) else None

    def _held_out(self, batch_size: int) -> float:
        """Return the user's measure, else the mean loss a sample."""
        if self._measure is None:
            return held_out_loss(
                self._data, batch_size, self.evaluate_batch, is_sum=self.recipe.is_loss_sum
            )
        with torch.no_grad():
            return self._measure(self.model, batch_size)

    def evaluate_batch(self, batch: Any, *, observers: Sequence[StepObserver] = ()) -> Tensor:  # noqa: ANN401 - the user's batch
        """Return the loss on one batch from the host, without gradients."""
        return self._step.evaluate(batch, observers)

    def state(self) -> TrainingState:
        """Return what ``restore`` needs."""
        scaler = self._step.scaler
        return TrainingState(
            model={"persistent": self.model.state_dict(), "others": self._other_buffers()},
            optimizer={**self.optimizer.state_dict(), "settings": self._settings},
            scaler={} if scaler is None else scaler.state_dict(),
            step_count=self._step_count,
            next_sample=self._next_sample,
            random=random_state(),
        )

    def restore(self, state: TrainingState) -> None:
        """Go on from a state."""
        self.close()
        self.model.load_state_dict(state.model["persistent"])
        for name, buffer in state.model["others"].items():
            owner, _, attribute = name.rpartition(".")
            mine = getattr(self.model.get_submodule(owner), attribute)
            setattr(self.model.get_submodule(owner), attribute, buffer.to(mine.device, copy=True))
        self.optimizer.load_state_dict(restored_optimizer(state.optimizer, self._settings))
        if self._step.scaler is not None and state.scaler:
            self._step.scaler.load_state_dict(state.scaler)
        self._step_count = state.step_count
        self._next_sample = state.next_sample
        restore_random_state(state.random)

    def _other_buffers(self) -> dict[str, Tensor]:
        """Return the buffers that ``state_dict`` leaves out, since they are not persistent."""
        kept = self.model.state_dict().keys()
        return {
            name: buffer
            for name, buffer in self.model.named_buffers(remove_duplicate=False)
            if name not in kept
        }

    def close(self) -> None:
        """End the data loader's processes. A later step starts them again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None


def held_out_loss(
    data: DataSource, batch_size: int, evaluate: Callable[[Any], Tensor], *, is_sum: bool
) -> float:
    """Return the mean held-out loss of a sample.

    Args:
        data: What is held out.
        batch_size: Samples a batch.
        evaluate: Returns the loss of a batch.
        is_sum: Whether that is the sum over its samples.
    """
    total = torch.zeros((), dtype=torch.float64, device="cpu")
    sample_count = 0
    with closing(data.held_out_batches(batch_size)) as batches:
        for batch in batches:
            count = count_samples(batch) or 1
            total += (1 if is_sum else count) * evaluate(batch).double().cpu().reshape(())
            sample_count += count
    return float(total) / max(sample_count, 1)
