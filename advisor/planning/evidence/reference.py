"""The recipe that advice is measured against: the user's, or the common default."""

from __future__ import annotations

from advisor.planning.evidence.log_view import Facts

LEAST_BATCHES_PER_EPOCH = 4
"""No effective batch is thought of that makes fewer steps an epoch."""


def reference_batch_size(facts: Facts) -> int:
    """Return B₀: the user's, or 32, or as much as the data set has."""
    chosen = facts.profile.reference_batch_size or facts.request.effective_batch_size or 32
    return min(chosen, facts.profile.dataset_size or chosen)


def reference_learning_rate(facts: Facts) -> float:
    """Return η₀: the user's, or the default of the optimizer's class, or 1e-3."""
    profile = facts.profile
    return profile.reference_learning_rate or profile.optimizer.default_learning_rate or 1e-3
