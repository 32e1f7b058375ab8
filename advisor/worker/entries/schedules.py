"""What a user's scheduler does to the parameter groups, found by running it through untrained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor

from advisor.worker.loop.optimizer_state import Settings, group_settings, set_rate
from advisor.worker.loop.recipe import Constant, Recorded, Schedule

DEPENDS_ON_LOSS = (
    "The scheduler lowers the rate when the validation loss stops falling; trials keep the rate "
    "that it begins with."
)
"""What is said where a scheduler looks at a loss."""
_MOST_STEPS = 100_000
"""Of which a schedule is run through: in about a second. Its rate has peaked by then."""
_MOST_RECORDED = 20_000
"""More than any trial takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSchedule:
    """The schedule that a user trains with.

    Attributes:
        peak: What the parameter groups hold where the rate of the first one that has any is
            largest.
        schedule: Step by step, in multiples of the groups' rates there.
        depends_on_loss: Whether a scheduler that looks at a loss is left out.
    """

    peak: Settings
    schedule: Schedule
    depends_on_loss: bool = False

    @property
    def peak_rate(self) -> float | None:
        """Largest rate of the first parameter group that has any; None where none has."""
        return next(filter(None, map(rate_of, self.peak)), None)

    def impose(self, optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
        """Give an optimizer a peak rate, and each group its share of it, as at the peak.

        Args:
            optimizer: One that was made as the user's is.
            learning_rate: Rate of the first parameter group that has any.
        """
        peak_rate = self.peak_rate
        for group, peak in zip(optimizer.param_groups, self.peak, strict=True):
            group.update({key: value for key, value in peak.items() if key != "lr"})
            if peak_rate is not None:
                set_rate(group, peak.get("lr"), learning_rate / peak_rate)


def run_through(
    optimizer: torch.optim.Optimizer, advance: Callable[[int], None] | None, step_count: float
) -> OwnSchedule:
    """Return what schedulers do to an optimizer that is of no further use.

    Args:
        optimizer: The optimizer, as made.
        advance: Given the number of steps taken, does what follows a step; None without a
            scheduler.
        step_count: Steps that are planned, at least 1; may be infinite.
    """
    first = group_settings(optimizer)
    if advance is None:
        return OwnSchedule(peak=first, schedule=Constant())
    states = [first, *_states(optimizer, advance, step_count)]
    leading = next((i for i, group in enumerate(first) if any(_rates(states, i))), 0)
    peak = [_with_stated_peak(group) for group in _largest(states, leading)]
    varying = {
        key for state in states for one, group in zip(first, state, strict=True)
        for key, value in group.items() if not _is_same(one.get(key), value)
    }  # fmt: skip
    if not varying:
        return OwnSchedule(peak=peak, schedule=Constant())
    steps = tuple(
        tuple(_share(group, most, varying) for group, most in zip(state, peak, strict=True))
        for state in states[:_MOST_RECORDED]
    )
    return OwnSchedule(peak=peak, schedule=Recorded(steps))


def _states(
    optimizer: torch.optim.Optimizer, advance: Callable[[int], None], step_count: float
) -> Iterator[Settings]:
    with catch_warnings():
        # Schedulers complain that the optimizer takes no steps.
        simplefilter("ignore")
        for step in range(1, int(min(step_count, _MOST_STEPS))):
            advance(step)
            yield group_settings(optimizer)


def _largest(states: list[Settings], leading: int) -> Settings:
    """Return the state in which a group's rate is largest."""
    return max(states, key=lambda groups: rate_of(groups[leading]) or 0.0)


def _with_stated_peak(group: dict[str, Any]) -> dict[str, Any]:
    """Return a group with the peak rate that a cyclic schedule was given, which steps may miss."""
    stated = rate_of({"lr": group.get("max_lr")})
    return group if stated is None else {**group, "lr": stated}


def _rates(states: list[Settings], index: int) -> Iterator[float]:
    return (rate_of(state[index]) or 0.0 for state in states)


def _share(
    group: Mapping[str, Any], peak: Mapping[str, Any], varying: set[str]
) -> Mapping[str, Any]:
    """Return what varies in a group at a step, its rate as a share of that at the peak."""
    found = {key: value for key, value in group.items() if key in varying and key != "lr"}
    rate, most = rate_of(group), rate_of(peak)
    return {**found, "lr": rate / most if rate is not None and most else 1.0}


def rate_of(group: Mapping[str, Any]) -> float | None:
    """Return the rate of a parameter group; None where it is no finite number."""
    rate = group.get("lr")
    if isinstance(rate, bool) or not isinstance(rate, int | float | Tensor):
        return None
    return float(rate) if math.isfinite(float(rate)) else None


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return bool(one == other)
