"""A script's own loop as a training: each step is asked of the script."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from advisor.domain.limits import LOSS
from advisor.worker.data.random_state import random_state, random_state_kept, restore_random_state
from advisor.worker.data.source import DataSource
from advisor.worker.entries.own_loop.endings import (
    ended_early,
    is_divergence,
    not_driven,
    raise_out_of_memory,
)
from advisor.worker.entries.own_loop.execution import Execution, ScriptEnded
from advisor.worker.entries.own_loop.learning import LoopNotDriven
from advisor.worker.entries.own_loop.request import Purpose, Request
from advisor.worker.loop.observers import StepObserver
from advisor.worker.loop.optimizer_state import group_settings, restored_optimizer
from advisor.worker.loop.protocol import StepResult, TrainingState
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.training import held_out_loss
from advisor.worker.scripts.running import Ending
from advisor.worker.user.batch_tree import map_tensors
from advisor.worker.user.hooks import UserCodeFailed

T = TypeVar("T")


class OwnLoopTraining:
    """Implements ``Training`` over a run of a script.

    The script's own batch size, order of samples, schedule and number of accumulated batches make
    way for the recipe's; all else is the script's. Of an optimizer step over ``a`` micro-batches in
    a loop that accumulates ``k``, the gradient is k/a times the sum of what the script makes of
    each, which is its own step's where a = k.
    """

    def __init__(
        self,
        recipe: Recipe,
        execution: Execution,
        data: DataSource,
        start_again: Callable[[], Execution],
    ) -> None:
        """Take over a run that is at its beginning.

        Args:
            recipe: How to train.
            execution: The run.
            data: Where batches come from.
            start_again: Returns another run, at its beginning, for where a script ends.
        """
        self.recipe = recipe
        execution.owner = self
        self._execution = execution
        self._data = data
        self._start_again = start_again
        self._show_rate()
        self._settings = group_settings(self.optimizer)
        self._step_count = 0
        self._next_sample = recipe.first_position(data.epoch_size)
        self._batches: Generator[Any, None, None] | None = None

    @property
    def model(self) -> nn.Module:
        """What the script's optimizer trains."""
        return self._execution.model

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The script's optimizer."""
        return self._execution.loop.optimizer

    @property
    def gradient_scale(self) -> float | None:
        """What gradients are of those of the mean over a step's samples; None where they are it."""
        scaler = self._execution.handler.scaler
        samples = self.recipe.effective_batch_size if self.recipe.is_loss_sum else 1
        if scaler is not None and self._uses_scaler:
            return scaler.get_scale() * samples
        return samples if samples > 1 else None

    @property
    def _uses_scaler(self) -> bool:
        return self.recipe.use_grad_scaler and self.recipe.precision != "fp32"

    def step(
        self, batches: Iterator[Any] | None = None, *, observers: Sequence[StepObserver] = ()
    ) -> StepResult:
        """Take one whole optimizer step of ``accumulation_steps`` micro-batches."""
        recipe = self.recipe
        rate = recipe.learning_rate * recipe.schedule.multiplier(self._step_count)
        losses = self._losses(Purpose.UPDATE, batches, observers, learning_rate=rate)
        self._step_count += 1
        if batches is None:
            self._next_sample += recipe.effective_batch_size
        return StepResult(loss=torch.stack(losses).sum(), learning_rate=rate)

    def accumulate(
        self, batches: Iterator[Any], *, observers: Sequence[StepObserver] = ()
    ) -> Sequence[Tensor]:
        """Leave the gradients of one step in the parameters, and update nothing."""
        return self._losses(Purpose.GRADIENTS, batches, observers)

    def evaluate(self, batch_size: int) -> float | None:
        """Return the held-out loss; None when not finite, or when nothing is held out."""
        if self._data.evaluation_size == 0:
            return None
        with random_state_kept():
            value = held_out_loss(
                self._data, batch_size, self.evaluate_batch, is_sum=self.recipe.is_loss_sum
            )
        return value if LOSS.holds(value) else None

    def evaluate_batch(self, batch: Any, *, observers: Sequence[StepObserver] = ()) -> Tensor:
        """Return the loss on one batch from the host, without gradients."""
        request = self._request(Purpose.EVALUATION, iter([batch]), observers)
        del batch  # Or it would count beside what the script makes of it.
        self._ask(request)
        return request.losses[0] * self._execution.handler.losses.divisor

    def _losses(
        self,
        purpose: Purpose,
        batches: Iterator[Any] | None,
        observers: Sequence[StepObserver],
        *,
        learning_rate: float = 0.0,
    ) -> list[Tensor]:
        """Return the losses of a step's micro-batches, as parts of the step's loss."""
        recipe, handler = self.recipe, self._execution.handler
        source = self._own_batches() if batches is None else batches
        request = self._request(purpose, source, observers, learning_rate=learning_rate)
        request.count = recipe.accumulation_steps
        request.gradient_factor = self._execution.loop.traits.accumulation_steps
        if not recipe.is_loss_sum:
            request.gradient_factor /= recipe.accumulation_steps
        if self._execution.loop.has_several_optimizers:
            request.gradient_factor = 1.0
        self._ask(request)
        count = recipe.effective_batch_size if recipe.is_loss_sum else recipe.accumulation_steps
        return [loss * (handler.losses.divisor / count) for loss in request.losses]

    def _request(
        self,
        purpose: Purpose,
        batches: Iterator[Any],
        observers: Sequence[StepObserver],
        *,
        learning_rate: float = 0.0,
    ) -> Request:
        return Request(
            purpose=purpose,
            batches=batches,
            observers=observers,
            learning_rate=learning_rate,
            uses_scaler=self._uses_scaler,
            uses_autocast=self.recipe.precision != "fp32",
        )

    def _ask(self, request: Request) -> None:
        """Have a request done; by another run of the script, where this one ends before.

        Raises:
            UserCodeFailed: The script raised, or never gets so far.
            torch.OutOfMemoryError: It ran out of memory.
        """
        if self._execution.owner is not self or Execution.running is not self._execution:
            raise AssertionError("another training of a script has begun in this process")
        try:
            self._execution.ask(request)
        except ScriptEnded as ended:
            self._go_on_after(ended.ending, request)
        except LoopNotDriven as reason:
            raise UserCodeFailed(not_driven(reason)) from None
        self._show_rate()

    def _go_on_after(self, ending: Ending, request: Request) -> None:
        """Do a request all the same, after the script has ended."""
        raise_out_of_memory(ending)
        if self._step_count and is_divergence(ending, request):
            request.diverge()
            return
        if ending.fault is not None:
            raise UserCodeFailed(ending.fault) from None
        if self._execution.handler.loss_count == 0:
            raise UserCodeFailed(ended_early())
        # A loop of so many epochs or steps: the same once more, from where it is.
        state = on_host(self.state())
        gradients = on_host([parameter.grad for parameter in self.model.parameters()])
        self._execution = self._start_again()
        self._execution.owner = self
        self.put_back(state)
        for parameter, gradient in zip(self.model.parameters(), gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
        self._ask(request)

    def _show_rate(self) -> None:
        """Let the optimizer show the recipe's rate while nothing is asked of the script."""
        self._execution.loop.rates.impose(self.recipe.learning_rate)

    def _own_batches(self) -> Iterator[Any]:
        if self._batches is None:
            self._batches = self._data.training_batches(
                self.recipe.micro_batch_size, first_sample=self._next_sample
            )
        return self._batches

    def state(self) -> TrainingState:
        """Return what ``restore`` needs."""
        scaler = self._execution.handler.scaler
        return TrainingState(
            model=self._tensors(),
            optimizer={**self.optimizer.state_dict(), "settings": self._settings},
            scaler={} if scaler is None else scaler.state_dict(),
            step_count=self._step_count,
            next_sample=self._next_sample,
            random=random_state(),
        )

    def restore(self, state: TrainingState) -> None:
        """Go on from a state."""
        self.close()
        self.put_back(state)
        self._step_count = state.step_count
        self._next_sample = state.next_sample

    def put_back(self, state: TrainingState) -> None:
        """Put what the script has of a state back, and the random number generators."""
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(state.model[name])
        # A copy: the optimizer would go on with the state's own tensors.
        saved = copy.deepcopy(state.optimizer)
        self.optimizer.load_state_dict(restored_optimizer(saved, self._settings))
        scaler = self._execution.handler.scaler
        if scaler is not None and state.scaler:
            scaler.load_state_dict(state.scaler)
        restore_random_state(state.random)

    def _tensors(self) -> dict[str, Tensor]:
        """Return the model's parameters and buffers, those that are not persistent included."""
        named = (*self.model.named_parameters(), *self.model.named_buffers())
        return {name: tensor.detach() for name, tensor in named}

    def close(self) -> None:
        """End the data loader's processes. A later step starts them again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None


def on_host(state: T) -> T:
    """Return a copy of a state, or of any value with tensors, in main memory."""
    if isinstance(state, TrainingState):
        found = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
        return dataclasses.replace(state, **on_host(found))
    copied: T = map_tensors(state, lambda tensor: tensor.detach().to("cpu", copy=True))
    return copied
