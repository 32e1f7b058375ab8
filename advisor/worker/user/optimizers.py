"""What an optimizer is, as its learning-rate rule sees it."""

from __future__ import annotations

import inspect
from numbers import Real
from typing import cast

import torch
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from advisor.domain.limits import LEARNING_RATE, OPTIMIZER_SETTING, Number

_MOST_BETAS = 3

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
