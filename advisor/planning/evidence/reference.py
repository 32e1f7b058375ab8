"""The recipe that advice is measured against: the user's, or the common default."""

from __future__ import annotations

from advisor.planning.evidence.log_view import LogView

LEAST_BATCHES_PER_EPOCH = 4
"""No effective batch is thought of that makes fewer steps an epoch."""


def reference_batch_size(view: LogView) -> int:
    """Return B₀: the user's, or 32, or as much as the data set has."""
    chosen = view.profile.reference_batch_size or view.request.effective_batch_size or 32
    return min(chosen, view.profile.dataset_size or chosen)


def reference_learning_rate(view: LogView) -> float:
    """Return η₀: the user's, or the default of the optimizer's class, or 1e-3."""
    profile = view.profile
    return profile.reference_learning_rate or profile.optimizer.default_learning_rate or 1e-3
