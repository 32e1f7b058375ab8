"""How a training is run: its batch, its learning rate, its schedule, its precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

ANY_LEARNING_RATE = 1e-3
"""To build an optimizer for memory and speed, which do not depend on the rate."""
_REPLICATE_SEEDS = 104_729
"""Distance of the seeds of two replicates: far from those that users name."""
_REPLICATE_EPOCHS = 10_000
"""More than any trial trains for."""
_TRAINING_SEED = 7919
"""Distance of what training draws, dropout above all, from what the weights were drawn with."""


class Schedule(Protocol):
    """A learning-rate schedule: a pure function of the step number."""

    def multiplier(self, step: int) -> float:
        """Return what the peak rate is multiplied by at a step, which counts from 0."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The rate stays as it is."""

    def multiplier(self, step: int) -> float:  # noqa: ARG002 - the same at each
        """Return 1."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Exponential:
    """The rate is multiplied by ``factor`` after each step, as in a range test."""

    factor: float

    def multiplier(self, step: int) -> float:
        """Return factorˢᵗᵉᵖ."""
        return float(self.factor**step)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A schedule that was run through beforehand. After its end the last step's stays.

    Attributes:
        steps: For each step, what is set in each parameter group: "lr" as a multiple of the
            group's peak rate, any other setting, such as the momentum, as it is.
    """

    steps: tuple[tuple[Mapping[str, Any], ...], ...]

    def groups(self, step: int) -> tuple[Mapping[str, Any], ...]:
        """Return what is set in each parameter group at a step."""
        return self.steps[min(step, len(self.steps) - 1)]

    def multiplier(self, step: int) -> float:
        """Return that of the first parameter group."""
        return float(self.groups(step)[0].get("lr", 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The setting of one training.

    Attributes:
        micro_batch_size: b, samples.
        accumulation_steps: a, micro-batches a step.
        learning_rate: Peak η, as the user's code is given it.
        schedule: What the rate of each parameter group is multiplied by, step by step.
        seed: Seed of the weights, of the data order and of what training draws at random.
        replicate: 0 for the draws of the seed itself; other numbers for other weights and for
            another part of the data order, drawn by the same seed.
        first_sample: Position in the data order at which the training begins, samples.
        precision: "fp32", "bf16" or "fp16"; None for the task's own.
        use_grad_scaler: Whether float16 losses are scaled and steps whose gradients overflow
            are skipped. That reads values, which fake tensors do not have, and a step that is
            skipped does not show the memory of an update.
        is_loss_sum: Whether the loss of a batch is the sum over its samples, not their mean. A
            step's gradient is then that of the sum over its micro-batches.
    """

    micro_batch_size: int
    accumulation_steps: int = 1
    learning_rate: float = ANY_LEARNING_RATE
    schedule: Schedule = field(default_factory=Constant)
    seed: int = 0
    replicate: int = 0
    first_sample: int = 0
    precision: str | None = None
    use_grad_scaler: bool = True
    is_loss_sum: bool = False

    @property
    def effective_batch_size(self) -> int:
        """Samples a step."""
        return self.micro_batch_size * self.accumulation_steps

    @property
    def weights_seed(self) -> int:
        """Seed of what the weights are drawn with."""
        return self.seed + _REPLICATE_SEEDS * self.replicate

    @property
    def training_seed(self) -> int:
        """Seed of what training draws."""
        return self.seed + _TRAINING_SEED

    def first_position(self, epoch_size: int | None) -> int:
        """Return where in the data order to begin: a replicate sees epochs that no other does.

        Args:
            epoch_size: Samples of an epoch; None for a stream, which has one order: replicates of
                it differ in their weights alone.
        """
        return self.first_sample + _REPLICATE_EPOCHS * self.replicate * (epoch_size or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The processes that take part in a training, in torch.distributed's terms.

    Attributes:
        rank: This process's number, from 0 to ``size`` less one.
        size: How many processes there are.
    """

    rank: int = 0
    size: int = 1


SINGLE_PROCESS = World()
