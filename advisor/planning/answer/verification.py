"""The last stage: the very setting to be recommended is run before it is given."""

from __future__ import annotations

from bsadvise.model.commands import Verify
from bsadvise.model.measurements import OutOfMemory, Verification

from advisor.planning.answer.choice import Choice
from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.semantics import is_loss_sum
from advisor.planning.throughput.step_cost import StepCost


def next_verification(view: LogView, choice: Choice) -> Verify | None:
    """Return the run that ``choice`` still needs; None when it has been run, or cannot be.

    A run that is out of memory teaches the memory model, which makes for another choice; a run
    that fails in another way is not made again.
    """
    if not view.device.present:
        return None
    tuning = view.tuning.answer.verification
    attempts = list(view.entries(Verify))
    others = [e for _, e in attempts if not isinstance(e.outcome, OutOfMemory | Verification)]
    if others or len(attempts) >= tuning.max_attempts or verification_of(view, choice) is not None:
        return None
    step_time_s = view.model(StepCost).step_time_s(choice.split) if view.step_times else 0.0
    step_count = tuning.max_steps
    if step_time_s:
        affordable = int(tuning.max_budget_share * view.request.budget_s / step_time_s)
        step_count = max(tuning.min_steps, min(tuning.max_steps, affordable))
    return Verify(
        micro_batch_size=choice.split.micro_batch_size,
        accumulation_steps=choice.split.accumulation_steps,
        learning_rate=choice.learning_rate,
        step_count=step_count,
        is_loss_sum=is_loss_sum(view),
        sample=view.profile.peak_sample,
        time_limit_s=hook_limit_s(view)
        + view.tuning.evidence.seconds.limit_factor * step_count * step_time_s,
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
