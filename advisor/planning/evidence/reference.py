"""The recipe that advice is measured against: the user's, or the common default."""

from __future__ import annotations

from advisor.planning.evidence.log_view import LogView


def reference_batch_size(view: LogView) -> int:
    """Return B₀: the user's, or the default, or as much as the data set has."""
    observed = view.reference.batch_size if view.reference else None
    known = view.profile.reference_batch_size or observed
    asked = known or view.request.effective_batch_size
    chosen = asked or view.tuning.evidence.reference.batch_size
    return min(chosen, view.profile.dataset_size or chosen)


def reference_learning_rate(view: LogView) -> float:
    """Return η₀: the user's, or the default of the optimizer's class, or Adam's."""
    profile = view.profile
    observed = view.reference.learning_rate if view.reference else None
    own = profile.reference_learning_rate or observed
    return (
        own
        or profile.optimizer.default_learning_rate
        or view.tuning.evidence.reference.learning_rate
    )
