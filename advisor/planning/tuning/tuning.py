"""The tuned numbers of the planner, by stage: one frozen value, passed in with the log.

A number belongs here when it was chosen by what it did to answers, and might be chosen otherwise;
physical constants and the rules of allocators stay where they are used. Each field says its unit,
its range and what it was chosen by.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from advisor.planning.tuning.answer import AnswerTuning
from advisor.planning.tuning.command_runs import CommandRunsTuning
from advisor.planning.tuning.data import DataTuning
from advisor.planning.tuning.estimators import EstimatorsTuning
from advisor.planning.tuning.evidence import EvidenceTuning
from advisor.planning.tuning.horizon import CompleteTrainingTuning
from advisor.planning.tuning.memory import MemoryTuning
from advisor.planning.tuning.throughput import ThroughputTuning
from advisor.planning.tuning.trials import TrialsTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """All tuned numbers.

    Attributes:
        estimators: Of the estimators that the stages share.
        evidence: Of what every stage reads: budgets, reference, invalid measurements.
        memory: Of the memory stage.
        throughput: Of the throughput stage.
        data: Of the data stage.
        trials: Of the search over trials.
        horizon: Of the complete short trainings for a training of a stated length.
        answer: Of the choice and what is said with it.
        command_runs: Of the runs of a command.
    """

    estimators: EstimatorsTuning = field(default_factory=EstimatorsTuning)
    evidence: EvidenceTuning = field(default_factory=EvidenceTuning)
    memory: MemoryTuning = field(default_factory=MemoryTuning)
    throughput: ThroughputTuning = field(default_factory=ThroughputTuning)
    data: DataTuning = field(default_factory=DataTuning)
    trials: TrialsTuning = field(default_factory=TrialsTuning)
    horizon: CompleteTrainingTuning = field(default_factory=CompleteTrainingTuning)
    answer: AnswerTuning = field(default_factory=AnswerTuning)
    command_runs: CommandRunsTuning = field(default_factory=CommandRunsTuning)

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the numbers as canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


DEFAULT_TUNING = Tuning()
"""What the daemon runs with."""
