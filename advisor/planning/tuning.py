"""The tuned numbers of the planner, by stage: one frozen value, passed in with the log.

A number belongs here when it was chosen by what it did to answers, and might be chosen otherwise;
physical constants and the rules of allocators stay where they are used. Each field says its unit,
its range and what it was chosen by.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field


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
class Tuning:
    """All tuned numbers."""

    ranking: RankingTuning = field(default_factory=RankingTuning)

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the numbers as canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


DEFAULT_TUNING = Tuning()
"""What the daemon runs with."""
