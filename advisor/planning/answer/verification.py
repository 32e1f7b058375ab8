"""The last stage: the very setting to be recommended is run before it is given."""

from __future__ import annotations

from bsadvise.model.commands import Verify
from bsadvise.model.measurements import OutOfMemory, Verification

from advisor.planning.answer.choice import Choice
from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.throughput.step_cost import StepCost

_STEPS = 8
_LEAST_STEPS = 3
_STEPS_SHARE = 0.1
"""Fewer steps are run where eight would take more of the budget than this."""

_MOST_ATTEMPTS = 4


def next_verification(view: LogView, choice: Choice) -> Verify | None:
    """Return the run that ``choice`` still needs; None when it has been run, or cannot be.

    A run that is out of memory teaches the memory model, which makes for another choice; a run
    that fails in another way is not made again.
    """
    if not view.device.present:
        return None
    attempts = list(view.entries(Verify))
    others = [e for _, e in attempts if not isinstance(e.outcome, OutOfMemory | Verification)]
    if others or len(attempts) >= _MOST_ATTEMPTS or verification_of(view, choice) is not None:
        return None
    step_time_s = view.model(StepCost).step_time_s(choice.split) if view.step_times else 0.0
    step_count = _STEPS
    if step_time_s:
        affordable = int(_STEPS_SHARE * view.request.budget_s / step_time_s)
        step_count = max(_LEAST_STEPS, min(_STEPS, affordable))
    return Verify(
        micro_batch_size=choice.split.micro_batch_size,
        accumulation_steps=choice.split.accumulation_steps,
        learning_rate=choice.learning_rate,
        step_count=step_count,
        time_limit_s=hook_limit_s(view.request) + 10 * step_count * step_time_s,
    )


def verification_of(view: LogView, choice: Choice) -> Verification | None:
    """Return the run of exactly ``choice``; None when there is none."""
    for command, verification in view.figures(Verify, Verification):
        if (command.micro_batch_size, command.accumulation_steps, command.learning_rate) == (
            choice.split.micro_batch_size,
            choice.split.accumulation_steps,
            choice.learning_rate,
        ):
            return verification
    return None
