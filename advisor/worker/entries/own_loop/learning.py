"""What is learned of a script's loop before anything is asked of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from bsadvise.model.observation import Reference

from advisor.worker.entries.own_loop.loader_data import Placeholders
from advisor.worker.entries.own_loop.rates import GroupRates
from advisor.worker.loop.several_optimizers import SeveralOptimizers
from advisor.worker.scripts.handler import AnyLoader

_PRECISIONS: dict[torch.dtype | None, str] = {torch.bfloat16: "bf16", torch.float16: "fp16"}
"""By what autocast casts to."""

_SEEN_STEPS = 2
"""Some loops step after their first batch already, and only the next interval shows how many they
accumulate. As many in each run, so that what a script keeps for itself is alike in all."""
_MOST_SEEN_STEPS = 32
"""After which an optimizer that has not stepped is not waited for: one that is stepped by the first
of each few batches, or that an earlier part of the script had."""


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
        optimizer: The one that steps, or all of them as one.
        rates: Its learning rates.
        traits: How it goes.
    """

    loader: AnyLoader
    optimizer: torch.optim.Optimizer
    rates: GroupRates
    traits: LoopTraits

    @property
    def has_several_optimizers(self) -> bool:
        """Whether several optimizers step."""
        return isinstance(self.optimizer, SeveralOptimizers)


class Learning:
    """What is seen of a loop.

    Attributes:
        loader: The one that trains.
        placeholders: Batches of its first samples.
        batches_since_step: Batches that came to their backward pass since a step was called for.
        autocast_dtype: What autocast contexts cast to; None where there were none.
    """

    def __init__(self, reference: Reference, known: LoopTraits | None) -> None:
        """Begin.

        Args:
            reference: What the script was seen to train with by itself.
            known: The traits of a loop that was driven before, which it keeps.
        """
        self.loader_number = reference.loader_number
        self.loader: AnyLoader | None = None
        self.placeholders: Placeholders | None = None
        self.batches_since_step = 0
        self.autocast_dtype: torch.dtype | None = None
        self._known = known
        self._optimizer_count = reference.optimizer_count
        self._optimizers: list[torch.optim.Optimizer] = []
        self._rates: GroupRates | None = None
        self._is_driven = False
        self._accumulation_steps = 1
        self._fetched_batches = 1
        self._step_count = 0

    @property
    def is_over(self) -> bool:
        """Whether enough was seen."""
        are_all_seen = len(self._optimizers) >= self._optimizer_count
        return self._step_count >= (_SEEN_STEPS if are_all_seen else _MOST_SEEN_STEPS)

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
            LoopNotDriven: It is an optimizer's that had not stepped while the loop was learned.
        """
        if not any(optimizer is seen for seen in self._optimizers):
            if self._is_driven:
                raise LoopNotDriven("it goes on to step another optimizer")
            self._optimizers.append(optimizer)
            self._rates = self._rates or GroupRates(optimizer)
        if self.batches_since_step:
            self._accumulation_steps = self.batches_since_step
            self._step_count += 1
            self.batches_since_step = 0

    def loop(self) -> DrivenLoop:
        """Return the loop, of which enough was seen.

        Raises:
            LoopNotDriven: Two optimizers train the same parameter.
        """
        if self.loader is None or self._rates is None:
            raise AssertionError("a step follows a backward pass")
        self._is_driven = True
        optimizer, rates = self._optimizers[0], self._rates
        if len(self._optimizers) > 1:
            try:
                optimizer = SeveralOptimizers(self._optimizers)
            except ValueError as error:
                raise LoopNotDriven("several optimizers train the same parameters") from error
            rates = GroupRates(optimizer)
        traits = self._known or LoopTraits(
            accumulation_steps=self._accumulation_steps,
            fetched_batches=self._fetched_batches,
            precision=_PRECISIONS.get(self.autocast_dtype, "fp32"),
        )
        return DrivenLoop(loader=self.loader, optimizer=optimizer, rates=rates, traits=traits)
