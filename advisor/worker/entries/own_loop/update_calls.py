"""Calls between backward pass and update that a script must not make in the midst of a step.

Where a step is asked for that the script's loop would take as several, or as none, it still calls
all of what ends a step. Each call here goes through while nothing is asked of the loop, or where it
belongs to the step that is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from advisor.worker.entries.own_loop.scaler_calls import ScalerCalls
from advisor.worker.entries.own_loop.update_control import UpdateControl
from advisor.worker.scripts.patching import Wrapper, replaced

_CLIPPING = ("clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_")


@contextmanager
def controlled(control: UpdateControl) -> Iterator[None]:
    """Let a control decide on these calls, until the context is left."""
    with ExitStack() as stack:
        for context in _patches(control):
            stack.enter_context(context)
        yield


def _patches(control: UpdateControl) -> Iterator[AbstractContextManager[None]]:
    keeping = _unless(control, lambda: control.keeps_gradients, lambda _: None)
    for owner in (torch.optim.Optimizer, nn.Module):
        yield replaced(owner, "zero_grad", keeping)
    clipping = _unless(control, lambda: not control.begin_update(), _no_norm)
    for module in (torch.nn.utils, torch.nn.utils.clip_grad):
        for name in filter(vars(module).__contains__, _CLIPPING):
            yield replaced(module, name, clipping)
    yield replaced(
        nn.Module, "train", _unless(control, lambda: control.is_frozen, lambda module: module)
    )
    # The rate is set at each step, and a schedule past its end would raise.
    never = _unless(control, lambda: True, lambda _: None)
    for scheduler in _with_subclasses(LRScheduler):
        if "step" in vars(scheduler):
            yield replaced(scheduler, "step", never)
    yield replaced(torch.amp.autocast_mode.autocast, "__enter__", _autocast(control))
    yield from ScalerCalls(control).patches()


def _unless(
    control: UpdateControl, is_skipped: Callable[[], bool], value: Callable[[Any], Any]
) -> Wrapper:
    """Return what makes a function that does nothing where a call of the script's is skipped.

    Args:
        control: Says which calls are the script's.
        is_skipped: Returns whether one is skipped.
        value: What the function returns then, given its first argument.
    """

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            if control.is_script_calling and is_skipped():
                return value(args[0] if args else None)
            return original(*args, **kwargs)

        return call

    return wrap


def _autocast(control: UpdateControl) -> Wrapper:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def enter(context: Any) -> Any:
            is_enabled = context._enabled  # noqa: SLF001 - torch has no public name for it
            if not is_enabled or not control.is_script_calling:
                return original(context)
            control.casting(context.fast_dtype)
            try:
                context._enabled = control.uses_autocast  # noqa: SLF001
                return original(context)
            finally:
                context._enabled = is_enabled  # noqa: SLF001

        return enter

    return wrap


def _no_norm(_: object) -> Tensor:
    """Return the norm of no gradients, which scripts look at."""
    return torch.zeros(())


def _with_subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)
