"""The loop protocol: what a task must offer so that it can be measured, trained and resumed.

A ``Task`` is what the user's code is: a model file, or any other way in. Built with a
``Recipe`` it gives a ``Training``, which all commands share. ``tests/support/training_contract.py``
holds an implementation to what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from bsadvise.model.caveats import Caveat
from bsadvise.model.horizon import TrainingLength
from torch import Tensor, nn

from advisor.worker.data.source import DataSource
from advisor.worker.loop.observers import StepObserver
from advisor.worker.loop.recipe import Recipe, World


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What came of one optimizer step.

    Attributes:
        loss: Mean loss of the step's micro-batches, and of their samples where the recipe says
            that the loss is a sum: a detached scalar on the device. To read its value waits for
            the device.
        learning_rate: η of the step: the recipe's rate, times the schedule's multiplier.
    """

    loss: Tensor
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """All that a training needs to go on as if it had never been interrupted.

    Tensors and plain values alone, so that ``torch.load(weights_only=True)`` reads it. As with
    ``Module.state_dict``, tensors are the training's own and not copies: save them, or copy
    them, before the next step.

    Attributes:
        model: Parameters and buffers, those that are not persistent included.
        optimizer: The optimizer's state and parameter groups.
        scaler: The gradient scaler's; empty without one.
        schedule: A scheduler object's; empty where the rate is a function of the step number.
        step_count: Optimizer steps taken.
        next_sample: Position in the data order at which the next step begins, samples.
        random: The states of the random number generators.
    """

    model: dict[str, Any]
    optimizer: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    step_count: int = 0
    next_sample: int = 0
    random: dict[str, Any] = field(default_factory=dict)


class Training(Protocol):
    """One run of a task with one recipe. Not safe for threads."""

    @property
    def recipe(self) -> Recipe:
        """What it was built with."""

    @property
    def model(self) -> nn.Module:
        """The model, on the device."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of the model's trainable parameters."""

    @property
    def gradient_scale(self) -> float | None:
        """What gradients are of those of the mean over a step's samples; None where they are it.

        The gradient scaler multiplies until the update; of a loss that is a sum the gradient is
        as many times the mean's as the step has samples, in the update too.
        """

    def step(
        self, batches: Iterator[Any] | None = None, *, observers: Sequence[StepObserver] = ()
    ) -> StepResult:
        """Take one whole optimizer step of ``accumulation_steps`` micro-batches.

        Args:
            batches: Where the micro-batches come from, on the host; None for the next ones of
                the training's own data order.
            observers: Told of each phase; see ``Phase`` for their order.

        Raises:
            UserCodeFailed: The user's code raised.
            torch.OutOfMemoryError: The device, or an observer's limit, has no room.
        """

    def accumulate(
        self, batches: Iterator[Any], *, observers: Sequence[StepObserver] = ()
    ) -> Sequence[Tensor]:
        """Leave the gradients of one step in the parameters, and update nothing.

        Returns:
            The detached loss of each micro-batch, divided by ``accumulation_steps``, or by the
            step's samples where the recipe says that the loss is a sum. Their sum is the step's
            loss.
        """

    def evaluate(self, batch_size: int) -> float | None:
        """Return the held-out measure, lower being better.

        Training goes on afterwards exactly as it would have without.

        Args:
            batch_size: Samples a batch.

        Returns:
            None when it is not finite, or when nothing is held out.
        """

    def evaluate_batch(self, batch: Any, *, observers: Sequence[StepObserver] = ()) -> Tensor:  # noqa: ANN401 - the user's batch
        """Return the loss on one batch from the host, without gradients."""

    def state(self) -> TrainingState:
        """Return what ``restore`` needs. The training goes on as if it had not been asked."""

    def restore(self, state: TrainingState) -> None:
        """Go on from a state, of this training or of another of the same task.

        With the same recipe the steps that follow are, bit for bit, those that would have
        followed there. Settings of the optimizer that this recipe gives another value, such as
        the rate, keep this recipe's.
        """

    def close(self) -> None:
        """End the data loader's processes. A later step starts them again."""


class BuildContext:
    """How the parts of a training are made: for real, as here, or otherwise in a subclass."""

    def build_model(
        self, build: Callable[[], nn.Module], move: Callable[[nn.Module], nn.Module]
    ) -> nn.Module:
        """Return the model.

        Args:
            build: Makes it, where the user's code puts it.
            move: Puts it on the device.
        """
        return move(build())

    def build_optimizer(self, build: Callable[[], torch.optim.Optimizer]) -> torch.optim.Optimizer:
        """Return what ``build`` makes."""
        return build()


FOR_REAL = BuildContext()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """What the user's code says about its own training.

    Attributes:
        precision: "fp32", "bf16" or "fp16".
        num_workers: Processes of the data loader.
        reference_batch_size: The batch it trains with now, samples; None when it does not say.
        reference_learning_rate: The rate it trains with now; None when it does not say.
        caveats: What it does that trials do not.
        learning_rate_name: What the learning rate is in the code.
        held_out_name: Where the code would give held-out data.
        is_traceable: Whether fake tensors may take the place of its own.
        training_length: How long it trains; None when it does not say.
    """

    precision: str = "fp32"
    num_workers: int = 0
    reference_batch_size: int | None = None
    reference_learning_rate: float | None = None
    caveats: tuple[Caveat, ...] = ()
    learning_rate_name: str = "the `lr` of build_optimizer"
    held_out_name: str = "build_eval_dataset()"
    is_traceable: bool = True
    training_length: TrainingLength | None = None


class Task(Protocol):
    """The user's code: loaded when it is first needed, and then once."""

    @property
    def seed(self) -> int:
        """The job's seed, which recipes take over and the data order follows."""

    @property
    def settings(self) -> TaskSettings:
        """What the code says about its own training."""

    @property
    def data(self) -> DataSource:
        """The data, in the order of the task's seed."""

    def build(
        self, recipe: Recipe, device: torch.device, world: World, context: BuildContext = FOR_REAL
    ) -> Training:
        """Return a training with fresh weights.

        Args:
            recipe: How to train.
            device: Where to.
            world: The processes that take part.
            context: How the parts are made.

        Raises:
            UserCodeFailed: The user's code raised, or does not keep to its contract.
        """
