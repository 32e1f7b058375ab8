"""The question that methods are asked about a training, and their answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bsadvise.model.horizon import FinalLoss, LearningRateSchedule

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.json_lines import append_line, read_lines
from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.trainer import Trainer
from benchmarks.trainings_bench.recording import DIRECTORY
from benchmarks.trainings_bench.workloads import SCHEDULES, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One search.

    Attributes:
        method: Name of the method.
        schedule: Name of the schedule.
        samples: D, that the training sees.
        share: Seconds that the search may take, over those of the training with the file's
            recipe; None where the method's cost is its own.
        seed: Of weights, sample order and search.
    """

    method: str
    schedule: str
    samples: int
    share: float | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request for a setting.

    Attributes:
        case: What is asked.
        workload: Of which.
        times: Of its steps.
        trainer: Trains it, with the case's seed.
    """

    case: Case
    workload: Workload
    times: Recording
    trainer: Trainer

    @property
    def schedule(self) -> LearningRateSchedule:
        """How the rate moves."""
        return SCHEDULES[self.case.schedule]

    @cached_property
    def allowed_s(self) -> float:
        """Modelled seconds that the search may take.

        Raises:
            LookupError: The case has no share.
        """
        if self.case.share is None:
            raise LookupError(f"{self.case.method} takes as long as it takes")
        size = self.times.reference_batch_size
        return self.case.share * self.case.samples / size * self.times.step_time_s(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A method's answer.

    Attributes:
        setting: Batch size and peak rate; None if it found none.
        cost_s: Modelled seconds of training, evaluations included.
        trial_count: Trainings that were made for it.
        final_loss: What it says that the training will end with; None if it says nothing.
        carried_factor: Length of the training over the longest that was made for it; None where
            no complete one was.
        note: Further remarks.
    """

    setting: Setting | None
    cost_s: float = 0.0
    trial_count: int = 0
    final_loss: FinalLoss | None = None
    carried_factor: float | None = None
    note: str = ""


Method = Callable[[Question], Answer]


def answers_path(workload: str) -> Path:
    """Return the path of a workload's answers."""
    return DIRECTORY / f"{workload}.answers.jsonl"


def read_answers(path: Path) -> dict[Case, Answer]:
    """Return the answers in a file; of two to one question the later one."""
    return {Case(**line["case"]): _answer(line["answer"]) for line in read_lines(path)}


def add_answer(path: Path, case: Case, answer: Answer) -> None:
    """Append an answer."""
    append_line(path, {"case": asdict(case), "answer": asdict(answer)})


def _answer(fields: dict[str, Any]) -> Answer:
    setting, final_loss = fields["setting"], fields["final_loss"]
    return replace(
        Answer(**fields | {"setting": None, "final_loss": None}),
        setting=Setting(*setting) if setting else None,
        final_loss=FinalLoss(**final_loss) if final_loss else None,
    )
