"""What is told of a script's training while it runs, and may change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

AnyLoader = DataLoader[Any]


class StopScript(BaseException):
    """Leaves a script.

    Not an Exception, nor a KeyboardInterrupt: training scripts catch these, to try again with a
    smaller batch or to keep a checkpoint.
    """


class TrainerKind(Enum):
    """Libraries whose trainers are intercepted as a whole."""

    LIGHTNING = "lightning"
    """``Trainer.fit`` of lightning.pytorch, or of pytorch_lightning."""
    TRANSFORMERS = "transformers"
    """``Trainer.train`` of transformers, and of what inherits it."""


class ScriptHandler(Protocol):
    """Called at each point where a script trains, in the thread that the script is in there.

    Each method stands in place of the intercepted call: what it returns is what the script gets,
    and what it raises is raised in the script. The callable that it is given makes the call as the
    script meant it. Once one has raised StopScript, no other is called, and every later
    intercepted call raises StopScript again, so that a script which catches it ends all the same.

    ``PassiveHandler`` changes nothing.
    """

    def on_loader(
        self, loader: AnyLoader, make_iterator: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        """Return what gives the script its batches: it has called ``iter`` of a DataLoader.

        Not called in the processes of a loader. ``make_iterator`` draws from torch's random
        number generator, and so belongs here and not at the first batch.
        """

    def on_backward(self, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
        """Carry out a backward pass: of ``Tensor.backward`` or of ``torch.autograd.backward``.

        Backward passes inside it, those of re-entrant checkpoints, are not told of.

        Args:
            tensors: What the gradient is of, as the script passed it: usually one loss, scaled
                where the script scales it.
            backward: The pass.
        """

    def on_step(
        self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], *, has_closure: bool
    ) -> Any:
        """Carry out an optimizer step.

        The outermost alone, where one optimizer steps another. Schedulers, gradient scalers and
        other wrappers are above it, the optimizer's own hooks below.

        Args:
            optimizer: The innermost optimizer that inherits torch's.
            step: The step.
            has_closure: Whether the script gave the step a closure, which computes the loss.
        """

    def on_trainer(
        self,
        kind: TrainerKind,
        trainer: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        run: Callable[[], Any],
    ) -> Any:
        """Carry out a training of a library's trainer.

        Args:
            kind: Which library.
            trainer: The trainer.
            args: What ``fit`` or ``train`` was called with, the trainer itself left out.
            kwargs: What it was called with by name.
            run: The training. It goes through the other methods.
        """


class PassiveHandler:
    """Lets a script do what it would have done."""

    def on_loader(
        self,
        loader: AnyLoader,
        make_iterator: Callable[[], Iterator[Any]],
    ) -> Iterator[Any]:
        """Return the loader's own iterator."""
        return make_iterator()

    def on_backward(self, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
        """Carry out the pass."""
        backward()

    def on_step(
        self,
        optimizer: torch.optim.Optimizer,
        step: Callable[[], Any],
        *,
        has_closure: bool,
    ) -> Any:
        """Carry out the step."""
        return step()

    def on_trainer(
        self,
        kind: TrainerKind,
        trainer: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        run: Callable[[], Any],
    ) -> Any:
        """Carry out the training."""
        return run()
