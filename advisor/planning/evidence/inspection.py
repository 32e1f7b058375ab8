"""The first stage: load the model file and see what it holds."""

from __future__ import annotations

from bsadvise.model.advice import Refusal
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import TaskProfile

from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.refusals import refuse


def next_inspection(view: LogView) -> InspectTask | Refusal | None:
    """Return the inspection, or why there can be none; None once the task is known."""
    for command, entry in view.entries(InspectTask):
        if isinstance(entry.outcome, TaskProfile):
            return None
        return refuse(command, entry.outcome)
    return InspectTask(time_limit_s=hook_limit_s(view))
