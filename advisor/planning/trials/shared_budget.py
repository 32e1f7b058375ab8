"""The budget that was asked for as a share of the stated training's own time."""

from __future__ import annotations

from dataclasses import replace

from bsadvise.model.horizon import LengthUnit
from bsadvise.model.request import DEFAULT_BUDGET_S

from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.stated_training import StatedTraining


def with_shared_budget(view: LogView) -> LogView:
    """Return a view whose request has its budget in seconds, of one that may ask for a share.

    Until steps were timed, which say how long the training takes, and where that cannot be told,
    the budget is the usual one. It never passes ``budget_s``.
    """
    share, most_s = view.request.budget_share, view.request.budget_s
    if share is None:
        return view
    own_s = _own_s(view)
    budget_s = DEFAULT_BUDGET_S if own_s is None else share * own_s
    return replace(view, request=replace(view.request, budget_s=min(budget_s, most_s)))


def _own_s(view: LogView) -> float | None:
    """Return the modelled seconds of the stated training; None while they are not known."""
    length = view.request.train_for
    if length is not None and length.unit is LengthUnit.SECONDS:
        return length.amount
    return None if view.step_times is None else view.model(StatedTraining).reference_s
