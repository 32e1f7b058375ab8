"""What an optimizer is, as its learning-rate rule sees it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from numbers import Real
from typing import cast

import torch
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from advisor.domain.limits import LEARNING_RATE, OPTIMIZER_SETTING, Number

_MOST_BETAS = 3
_MOST_NAMED = 4

_SEVERAL_FIX = (
    "Return one with a group for each: `return torch.optim.Adam([{'params': first}, "
    "{'params': second, 'lr': 4 * lr}], lr)`. Where they take turns, as in a GAN, give "
    "make_batch for memory and speed: `def make_batch(batch_size)` in place of build_dataset."
)
_SCHEDULE_FIX = (
    "Return the optimizer alone: `return optimizer`. Trials have a schedule of their own; yours "
    "takes the advised rate as its base."
)
_OPTIMIZER_FIX = "Return a torch.optim.Optimizer alone: `return optimizer`."

_ADAM_LIKE = (
    torch.optim.Adam,
    torch.optim.Adamax,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.RMSprop,
)


def family_of(optimizer: torch.optim.Optimizer) -> OptimizerFamily:
    """Return which learning-rate rule an optimizer follows.

    Optimizers of other packages, such as AdamW8bit, are known by their names.
    """
    name = type(optimizer).__name__.lower()
    if isinstance(optimizer, _ADAM_LIKE) or "adam" in name or "rmsprop" in name:
        return OptimizerFamily.ADAM
    if isinstance(optimizer, torch.optim.SGD) or name.startswith("sgd"):
        return OptimizerFamily.SGD
    return OptimizerFamily.OTHER


def profile_of(optimizer: torch.optim.Optimizer) -> OptimizerProfile:
    """Return what the planner needs to know of an optimizer."""
    group = optimizer.param_groups[0]
    return OptimizerProfile(
        optimizer_name=type(optimizer).__name__,
        family=family_of(optimizer),
        default_learning_rate=_default_rate(type(optimizer)),
        weight_decay=_number(group.get("weight_decay")),
        momentum=_number(group.get("momentum")),
        betas=_betas_of(group.get("betas")),
        epsilon=_number(group.get("eps")),
    )


def optimizer_problem(returned: object) -> tuple[str, str]:
    """Return what is wrong with what `build_optimizer` returns in place of one, and the remedy."""
    parts = list(returned.values()) if isinstance(returned, Mapping) else returned
    parts = list(parts) if isinstance(parts, list | tuple) else [parts]
    names = " and ".join(type(part).__name__ for part in parts[:_MOST_NAMED])
    optimizers = [part for part in parts if isinstance(part, torch.optim.Optimizer)]
    if len(optimizers) > 1:
        return f"build_optimizer returns {len(optimizers)} optimizers: {names}.", _SEVERAL_FIX
    if any(isinstance(part, torch.optim.lr_scheduler.LRScheduler) for part in parts):
        return f"build_optimizer returns a schedule: {names}.", _SCHEDULE_FIX
    kind = type(returned).__name__
    return f"build_optimizer returns a {kind}, not an Optimizer.", _OPTIMIZER_FIX


def _default_rate(cls: type[torch.optim.Optimizer]) -> float | None:
    parameter = inspect.signature(cls).parameters.get("lr")
    return None if parameter is None else _number(parameter.default, LEARNING_RATE)


def _betas_of(betas: object) -> tuple[float, ...]:
    """Return β₁, β₂ and what a few of Adam's kin add; empty where it is something else."""
    if not isinstance(betas, tuple | list) or len(betas) > _MOST_BETAS:
        return ()
    found = [_number(beta) for beta in betas]
    known = tuple(beta for beta in found if beta is not None)
    return known if len(known) == len(found) else ()


def _number(value: object, limit: Number = OPTIMIZER_SETTING) -> float | None:
    """Return a setting of an optimizer; None where it is no number, or of no use as one."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    return float(value) if limit.holds(cast(float, value)) else None
