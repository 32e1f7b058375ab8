"""What is learned of a script's loop before anything is asked of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from advisor.worker.entries.own_loop.loader_data import Placeholders
from advisor.worker.entries.own_loop.rates import GroupRates
from advisor.worker.scripts.handler import AnyLoader

_PRECISIONS: dict[torch.dtype | None, str] = {torch.bfloat16: "bf16", torch.float16: "fp16"}
"""By what autocast casts to."""

_SEEN_STEPS = 2
"""Some loops step after their first batch already, and only the next interval shows how many they
accumulate. As many in each run, so that what a script keeps for itself is alike in all."""


class LoopNotDriven(Exception):
    """The script's loop is of a kind that cannot be driven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTraits:
    """How a script's loop goes.

    Attributes:
        accumulation_steps: Batches that it takes a step, at least 1.
        fetched_batches: Batches that it has fetched at a backward pass, that of the pass included.
        precision: "fp32", or "bf16" or "fp16" where it casts to these.
    """

    accumulation_steps: int
    fetched_batches: int
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenLoop:
    """A loop that waits for what it is asked.

    Attributes:
        loader: The training loader.
        optimizer: The one that steps.
        rates: Its learning rates.
        traits: How it goes.
    """

    loader: AnyLoader
    optimizer: torch.optim.Optimizer
    rates: GroupRates
    traits: LoopTraits


class Learning:
    """What is seen of a loop.

    Attributes:
        loader: The one that trains.
        placeholders: Batches of its first samples.
        batches_since_step: Batches that came to their backward pass since a step was called for.
        autocast_dtype: What autocast contexts cast to; None where there were none.
    """

    def __init__(self, known: LoopTraits | None) -> None:
        """Begin; a loop that is known keeps the traits that it had."""
        self.loader: AnyLoader | None = None
        self.placeholders: Placeholders | None = None
        self.batches_since_step = 0
        self.autocast_dtype: torch.dtype | None = None
        self._known = known
        self._optimizer: torch.optim.Optimizer | None = None
        self._rates: GroupRates | None = None
        self._accumulation_steps = 1
        self._fetched_batches = 1
        self._step_count = 0

    @property
    def is_over(self) -> bool:
        """Whether enough was seen."""
        return self._step_count >= _SEEN_STEPS

    def note_loader(self, loader: AnyLoader) -> None:
        """Note which loader trains.

        Raises:
            LoopNotDriven: Batches of another size cannot be made of it.
        """
        try:
            self.placeholders = Placeholders(loader)
        except ValueError as error:
            raise LoopNotDriven(str(error)) from error
        self.loader = loader

    def note_backward(self, fetched_batches: int) -> None:
        """Note the first backward pass of a batch."""
        self._fetched_batches = max(self._fetched_batches, fetched_batches)
        self.batches_since_step += 1

    def note_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Note that a step is called for.

        Raises:
            LoopNotDriven: Not the first optimizer's.
        """
        if self._optimizer is None:
            self._optimizer, self._rates = optimizer, GroupRates(optimizer)
        elif optimizer is not self._optimizer:
            raise LoopNotDriven("it steps several optimizers")
        if self.batches_since_step:
            self._accumulation_steps = self.batches_since_step
            self._step_count += 1
            self.batches_since_step = 0

    def loop(self) -> DrivenLoop:
        """Return the loop, of which enough was seen."""
        if self.loader is None or self._optimizer is None or self._rates is None:
            raise AssertionError("a step follows a backward pass")
        traits = self._known or LoopTraits(
            accumulation_steps=self._accumulation_steps,
            fetched_batches=self._fetched_batches,
            precision=_PRECISIONS.get(self.autocast_dtype, "fp32"),
        )
        return DrivenLoop(
            loader=self.loader, optimizer=self._optimizer, rates=self._rates, traits=traits
        )
