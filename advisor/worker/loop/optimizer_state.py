"""Settings and state of an optimizer's parameter groups: which is which, when one is restored."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from advisor.worker.loop.recipe import Constant, Recorded, Schedule

Settings = list[dict[str, Any]]
"""What each parameter group held when the optimizer was built, its parameters left out."""


def group_settings(optimizer: torch.optim.Optimizer) -> Settings:
    """Return what the parameter groups of a fresh optimizer hold."""
    return [
        {key: _copied(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]


def follow(
    schedule: Schedule, step: int, optimizer: torch.optim.Optimizer, settings: Settings
) -> None:
    """Set in each parameter group what a schedule has there at a step.

    Rates are multiples of the groups' first ones: each keeps its ratio to the others.
    """
    if isinstance(schedule, Constant):
        return
    groups = schedule.groups(step) if isinstance(schedule, Recorded) else ()
    everywhere = [{"lr": schedule.multiplier(step)}] * len(settings)
    for group, first, given in zip(
        optimizer.param_groups, settings, groups or everywhere, strict=False
    ):
        group.update({key: value for key, value in given.items() if key != "lr"})
        set_rate(group, first.get("lr"), given.get("lr", 1.0))


def set_rate(group: dict[str, Any], rate: object, multiplier: float) -> None:
    """Set the rate of a parameter group to a multiple of one, where that is a number."""
    if isinstance(rate, Tensor):
        group["lr"].copy_(rate * multiplier)  # In place: a compiled step holds the tensor.
    elif isinstance(rate, int | float):
        group["lr"] = rate * multiplier


def restored_optimizer(saved: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the state to load into an optimizer that was built with other settings, maybe.

    Some optimizers keep state in their parameter groups. What was built alike is therefore
    taken as it was saved; what was not, such as another rate, stays as it was built now.

    Args:
        saved: ``state_dict`` of the saved optimizer, with its own ``settings`` beside it.
        settings: Those of the optimizer that it is for.
    """
    groups = [
        _merged(group, then, now)
        for group, then, now in zip(saved["param_groups"], saved["settings"], settings, strict=True)
    ]
    others = {key: value for key, value in saved.items() if key != "settings"}
    return {**others, "param_groups": groups}


def _merged(
    group: Mapping[str, Any], then: Mapping[str, Any], now: Mapping[str, Any]
) -> dict[str, Any]:
    changed = {
        key: _copied(value)
        for key, value in now.items()
        if key not in then or not _is_same(then[key], value)
    }
    return {**group, **changed}


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return (
            isinstance(one, Tensor)
            and isinstance(other, Tensor)
            and torch.equal(one.cpu(), other.cpu())
        )
    return _as_lists(one) == _as_lists(other)


def _as_lists(value: object) -> object:
    """Return a value in which tuples are lists, since some are read back so."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_lists(item) for item in value]
    return value


def _copied(value: Any) -> Any:  # noqa: ANN401 - a setting
    return value.detach().clone() if isinstance(value, Tensor) else copy.copy(value)
