"""How a trial that broke a constraint is told to Optuna, which changed between 4 and 5.

Optuna 5 keeps a trial's constraints with the trial. Optuna 4 reads them from a system
attribute, and only when the sampler has been given a function that would compute them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, create_trial

_KEPT_WITH_TRIAL = "constraints" in inspect.signature(create_trial).parameters


def constraint_options(excess: float) -> dict[str, Any]:
    """Return what ``create_trial`` needs so that a trial breaks its constraint by ``excess``."""
    if _KEPT_WITH_TRIAL:
        return {"constraints": {"excess": excess}}
    return {"system_attrs": {"constraints": [excess]}}


def sampler_options() -> dict[str, Any]:
    """Return what a sampler needs so that it heeds the constraints of trials."""
    return {} if _KEPT_WITH_TRIAL else {"constraints_func": _stored_constraints}


def _stored_constraints(trial: FrozenTrial) -> Sequence[float]:
    return tuple(trial.system_attrs["constraints"])
