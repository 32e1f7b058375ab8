"""What an optimizer is, as its learning-rate rule sees it."""

from __future__ import annotations

import inspect

import torch
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

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
    betas = group.get("betas")
    return OptimizerProfile(
        optimizer_name=type(optimizer).__name__,
        family=family_of(optimizer),
        default_learning_rate=_default_rate(type(optimizer)),
        weight_decay=_number(group.get("weight_decay")),
        momentum=_number(group.get("momentum")),
        betas=tuple(float(beta) for beta in betas) if isinstance(betas, tuple | list) else (),
        epsilon=_number(group.get("eps")),
    )


def _default_rate(cls: type[torch.optim.Optimizer]) -> float | None:
    parameter = inspect.signature(cls).parameters.get("lr")
    return None if parameter is None else _number(parameter.default)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
