"""The tuned numbers of the planner, by stage: one frozen value, passed in with the log.

A number belongs here when it was chosen by what it did to answers, and might be chosen otherwise;
physical constants and the rules of allocators stay where they are used. Each field says its unit,
its range and what it was chosen by.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from advisor.planning.tuning.estimators import EstimatorsTuning
from advisor.planning.tuning.memory import MemoryTuning
from advisor.planning.tuning.throughput import ThroughputTuning
from advisor.planning.tuning.trials import TrialsTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """All tuned numbers.

    Attributes:
        estimators: Of the estimators that the stages share.
        memory: Of the memory stage.
        throughput: Of the throughput stage.
        trials: Of the search over trials.
    """

    estimators: EstimatorsTuning = field(default_factory=EstimatorsTuning)
    memory: MemoryTuning = field(default_factory=MemoryTuning)
    throughput: ThroughputTuning = field(default_factory=ThroughputTuning)
    trials: TrialsTuning = field(default_factory=TrialsTuning)

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the numbers as canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


DEFAULT_TUNING = Tuning()
"""What the daemon runs with."""
