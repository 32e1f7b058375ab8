"""How to accumulate micro-batches, in the words of whatever trains."""

from __future__ import annotations

from bsadvise.exports.changes.values import Change
from bsadvise.model.advice import Advice
from bsadvise.model.observation import TrainingLoop
from bsadvise.model.task import BatchSemantics

_ARGUMENTS = {
    TrainingLoop.LIGHTNING: "accumulate_grad_batches of Trainer",
    TrainingLoop.TRANSFORMERS: "gradient_accumulation_steps of TrainingArguments",
}


def accumulation_change(advice: Advice) -> Change | None:
    """Return the argument of a trainer to change; None where that is not what trains."""
    reference = advice.reference
    argument = None if reference is None else _ARGUMENTS.get(reference.loop)
    if reference is None or argument is None:
        return None
    if reference.accumulation_steps == advice.accumulation_steps:
        return None
    return Change(
        what="accumulation_steps",
        where=argument,
        before=str(reference.accumulation_steps),
        after=str(advice.accumulation_steps),
        is_confirmed=False,
    )


def accumulation_note(advice: Advice) -> str | None:
    """Return what a loop of one's own must do to accumulate; None where it does, or need not."""
    steps, reference = advice.accumulation_steps, advice.reference
    if reference is not None and reference.loop in _ARGUMENTS:
        return None
    old = 1 if reference is None else reference.accumulation_steps
    if steps == old:
        return None
    if steps == 1:
        return f"take an optimizer step after each batch, not after {old} of them"
    if old > 1:
        return f"take an optimizer step after {steps} batches, not after {old} of them"
    # The gradients of sums add up to that of the sum; those of means, to that of their mean.
    is_sum = advice.batch_semantics is BatchSemantics.SUM
    loss = "loss" if is_sum else f"(loss / {steps})"
    return (
        f"accumulate {steps} batches an optimizer step: {loss}.backward() for each batch, and "
        f"optimizer.step() and optimizer.zero_grad() only if (i + 1) % {steps} == 0, counting "
        "batches from i = 0"
    )
