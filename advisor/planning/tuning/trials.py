"""Tuned numbers of the search over trials."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingTuning:
    """How short trainings are compared.

    Attributes:
        noise_penalty: Doublings of training time by which a setting is held back, for each
            doubling that is still to go to the target and for each factor of 2 in the ratio of
            learning-rate multiplier to batch size; at least 0. From
            ``python -m benchmarks.replay --all-variants`` on ten recorded workloads.
        most_noise_penalty: Doublings, the most for each factor of 2; at least 0. Likewise.
    """

    noise_penalty: float = 0.15
    most_noise_penalty: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsTuning:
    """Tuned numbers of ``advisor.planning.trials``."""

    ranking: RankingTuning = field(default_factory=RankingTuning)
