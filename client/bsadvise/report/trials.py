"""The trials of a job as a report shows them: how each ended, and which is advised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bsadvise.exports.study import StudyTrial, TrialState, make_study
from bsadvise.model.errors import ExportFailed
from bsadvise.model.explanation import ExplainedTrial, Findings
from bsadvise.version import __version__


class Standing(StrEnum):
    """How a trial stands at the end, in the words of a legend."""

    ADVISED = "advised"
    REFERENCE = "your recipe"
    TIED = "as good as the best"
    BEHIND = "behind"
    STOPPED = "stopped early"
    OUT_OF_MEMORY = "out of memory"
    FAILED = "diverged or failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTrial:
    """One trial.

    Attributes:
        number: 0 for the reference recipe.
        effective_batch_size: Samples an optimizer step.
        learning_rate: η.
        standing: How it stands at the end.
        is_reference: Whether it is the user's recipe, which may be what is advised.
        step_count: Optimizer steps taken.
        final_loss: The last held-out loss; None without one.
        explained: What the planner reads in it; None where the daemon did not say.
    """

    number: int
    effective_batch_size: int
    learning_rate: float
    standing: Standing
    is_reference: bool
    step_count: int
    final_loss: float | None
    explained: ExplainedTrial | None


def shown_trials(findings: Findings) -> tuple[ShownTrial, ...]:
    """Return a job's trials by number; empty where none was begun."""
    try:
        study = make_study(findings.recommendation, findings.log, (), __version__)
    except ExportFailed:
        return ()
    trials = () if findings.explanation is None else findings.explanation.trials
    explained = {trial.number: trial for trial in trials}
    return tuple(_shown(trial, explained.get(trial.number)) for trial in study.trials)


def _shown(trial: StudyTrial, explained: ExplainedTrial | None) -> ShownTrial:
    batch_size = trial.effective_batch_size if explained is None else explained.effective_batch_size
    return ShownTrial(
        number=trial.number,
        effective_batch_size=batch_size,
        learning_rate=trial.learning_rate,
        standing=_standing(trial, explained),
        is_reference=trial.number == 0,
        step_count=trial.attributes.get("step_count", 0),
        final_loss=trial.losses[max(trial.losses)] if trial.losses else None,
        explained=explained,
    )


def _standing(trial: StudyTrial, explained: ExplainedTrial | None) -> Standing:
    if trial.attributes.get("is_recommended"):
        return Standing.ADVISED
    if trial.ran_out_of_memory:
        return Standing.OUT_OF_MEMORY
    if trial.state is TrialState.FAIL:
        return Standing.FAILED
    if trial.number == 0:
        return Standing.REFERENCE
    if explained is not None and explained.is_tied:
        return Standing.TIED
    return Standing.STOPPED if trial.state is TrialState.PRUNED else Standing.BEHIND


def count_of(trials: Sequence[ShownTrial], *standings: Standing) -> int:
    """Return how many trials stand so."""
    return sum(trial.standing in standings for trial in trials)
