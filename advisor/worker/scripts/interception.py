"""Intercepts the calls by which scripts train, and hands them to a handler.

Where each is caught, and why there:

- ``DataLoader.__iter__`` of the class: loaders of other libraries inherit it.
- ``Tensor.backward`` and ``torch.autograd.backward``, of which one calls the other.
- ``step`` of each optimizer's own class, once one of the class is made: schedulers and
  accelerate replace the attribute of the instance, which stays above.
- ``Trainer.fit`` and ``Trainer.train`` of the libraries, when the script imports them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from advisor.worker.scripts.handler import ScriptHandler, StopScript, TrainerKind
from advisor.worker.scripts.patching import Wrapper, on_import, replaced

T = TypeVar("T")

_TRAINERS = (
    ("lightning.pytorch.trainer.trainer", "fit", TrainerKind.LIGHTNING),
    ("pytorch_lightning.trainer.trainer", "fit", TrainerKind.LIGHTNING),
    ("transformers.trainer", "train", TrainerKind.TRANSFORMERS),
)
"""Module, method of its ``Trainer``, and whose it is."""


@contextmanager
def intercepted(handler: ScriptHandler) -> Iterator[Interception]:
    """Hand the calls by which this process trains to a handler, until the context is left.

    What user code keeps of an intercepted function acts as the original afterwards.
    """
    interception = Interception(handler)
    with ExitStack() as stack:
        for context in interception.patches():
            stack.enter_context(context)
        stack.callback(interception.end)
        yield interception


class Interception:
    """The intercepted calls of one run.

    Attributes:
        is_stopped: Whether the handler has raised StopScript.
        has_trained: Whether the script has called a trainer, gone backward or taken a step.
    """

    def __init__(self, handler: ScriptHandler) -> None:
        self.is_stopped = self.has_trained = False
        self._handler = handler
        self._pid = os.getpid()
        self._is_over = False
        self._entered: set[str] = set()
        self._step_patches = ExitStack()
        self._step_owners: set[type] = set()

    def end(self) -> None:
        """Let everything act as the original from now on."""
        self._is_over = True
        self._step_patches.close()

    def patches(self) -> Iterator[AbstractContextManager[None]]:
        """Yield the contexts in which the calls are intercepted."""
        yield replaced(DataLoader, "__iter__", self._loader)
        yield replaced(Tensor, "backward", self._backward)
        yield replaced(torch.autograd, "backward", self._backward)
        yield replaced(torch.optim.Optimizer, "__init__", self._optimizer)
        for module, method, kind in _TRAINERS:
            yield on_import(module, _patch_trainer(method, functools.partial(self._trainer, kind)))

    def _concerns_us(self, call: str) -> bool:
        """Return whether a call is the script's own.

        Not after the run, nor in processes that the script has forked, nor inside another such.
        """
        return not self._is_over and call not in self._entered and os.getpid() == self._pid

    def _going_on(self, call: str, go_on: Callable[[], T]) -> Callable[[], T]:
        """Return what makes an intercepted call; those inside it do not concern us."""
        self.has_trained = True

        def enter() -> T:
            self._entered.add(call)
            try:
                return go_on()
            finally:
                self._entered.discard(call)

        return enter

    def _handle(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        if self.is_stopped:
            raise StopScript
        try:
            return method(*args, **kwargs)
        except StopScript:
            self.is_stopped = True
            raise

    def _loader(self, original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        @functools.wraps(original)
        def iterate(loader: DataLoader[Any]) -> Iterator[Any]:
            if not self._concerns_us("loader"):
                return original(loader)
            make = functools.partial(original, loader)
            return self._handle(self._handler.on_loader, loader, make)

        return iterate

    def _backward(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def backward(*args: Any, **kwargs: Any) -> None:
            if not self._concerns_us("backward"):
                original(*args, **kwargs)
                return
            of = args[0] if args else kwargs["tensors"]
            tensors = (of,) if isinstance(of, Tensor) else tuple(of)
            go_on = functools.partial(original, *args, **kwargs)
            self._handle(self._handler.on_backward, tensors, self._going_on("backward", go_on))

        return backward

    def _optimizer(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def initialise(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
            original(optimizer, *args, **kwargs)
            # Torch has put its own hooks around the class's step by now, for good.
            owner = type(optimizer)
            if self._concerns_us("optimizer") and owner not in self._step_owners:
                self._step_owners.add(owner)
                self._step_patches.enter_context(replaced(owner, "step", self._step))

        return initialise

    def _step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def step(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
            if not self._concerns_us("step"):
                return original(optimizer, *args, **kwargs)
            closure = args[0] if args else kwargs.get("closure")
            go_on = functools.partial(original, optimizer, *args, **kwargs)
            return self._handle(
                self._handler.on_step,
                optimizer,
                self._going_on("step", go_on),
                has_closure=closure is not None,
            )

        return step

    def _trainer(self, kind: TrainerKind, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def train(trainer: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._concerns_us("trainer"):
                return original(trainer, *args, **kwargs)
            go_on = self._going_on("trainer", functools.partial(original, trainer, *args, **kwargs))
            return self._handle(self._handler.on_trainer, kind, trainer, args, kwargs, go_on)

        return train


def _patch_trainer(
    method: str, wrap: Wrapper
) -> Callable[[ModuleType], AbstractContextManager[None]]:
    return lambda module: replaced(module.Trainer, method, wrap)
