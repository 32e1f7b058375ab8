"""The recipe that advice is measured against: the user's, or the common default."""

from __future__ import annotations

from advisor.planning.evidence.log_view import LogView


def reference_batch_size(view: LogView) -> int:
    """Return B₀: the user's, or the default, or as much as the data set has."""
    asked = view.profile.reference_batch_size or view.request.effective_batch_size
    chosen = asked or view.tuning.evidence.reference.batch_size
    return min(chosen, view.profile.dataset_size or chosen)


def reference_learning_rate(view: LogView) -> float:
    """Return η₀: the user's, or the default of the optimizer's class, or Adam's."""
    profile = view.profile
    known = profile.reference_learning_rate or profile.optimizer.default_learning_rate
    return known or view.tuning.evidence.reference.learning_rate
