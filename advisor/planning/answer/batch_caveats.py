"""What the user should know about the batch itself: how it is split, and how it is to grow."""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.task import OptimizerFamily

from advisor.estimators.efficiency import relative_steps
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split

_GHOST_BATCH_SIZE = 128
"""Samples that ghost batch normalisation takes together in arXiv 1705.08741."""


def about_batch(view: LogView, choice: Choice, chooser: Chooser) -> Iterator[Caveat]:
    """Yield what batch normalisation makes of the batch, and what accumulating it is worth."""
    split = choice.split
    if view.profile.batch_norm_layer_count:
        yield from _about_batch_norm(view, split)
    if split.accumulation_steps > 1 and view.request.effective_batch_size is not None:
        yield from _about_accumulation(view, split, chooser)


def about_schedule(view: LogView) -> Caveat:
    """Return what to know of a batch schedule that is given."""
    is_sgd = view.profile.optimizer.family is OptimizerFamily.SGD
    rule = "in proportion to the batch" if is_sgd else "with the root of the batch"
    return Caveat(
        code=CaveatCode.BATCH_SCHEDULE_NOT_RUN,
        text="The batch schedule is predicted from the growth of the gradients' noise, not run; "
        "the "
        f"learning rate would follow {rule}. The fixed batch was run.",
    )


def _about_batch_norm(view: LogView, split: Split) -> Iterator[Caveat]:
    micro = split.micro_batch_size
    if split.accumulation_steps > 1:
        yield Caveat(
            code=CaveatCode.BATCH_NORM_PER_MICRO_BATCH,
            text=f"Batch normalisation sees {micro} samples at a time, not "
            f"{split.effective_batch_size}.",
        )
    if micro >= view.tuning.answer.advice.batch_norm_groups * _GHOST_BATCH_SIZE:
        yield Caveat(
            code=CaveatCode.BATCH_NORM_LARGE_BATCH,
            text=f"Batch normalisation over {micro:,} samples at a time loses the noise that "
            "helps to "
            f"generalise: where the final loss suffers, let it see groups of {_GHOST_BATCH_SIZE} "
            "(ghost batch normalisation, arXiv 1705.08741).",
        )


def _about_accumulation(view: LogView, split: Split, chooser: Chooser) -> Iterator[Caveat]:
    """Yield whether stepping after each micro-batch would reach the target sooner."""
    noise = chooser.batches.noise_scale
    if view.step_times is None or noise is None or split.world_size > 1:
        return
    cost = chooser.search.cost
    single = Split(split.micro_batch_size, 1, 1)
    times_s = [
        relative_steps(one.effective_batch_size, noise.value) * cost.step_time_s(one)
        for one in (single, split)
    ]
    asked = (
        f"The batch of {split.effective_batch_size:,} that was asked for does not fit, and is "
        f"accumulated in {split.accumulation_steps} parts"
    )
    if times_s[0] < times_s[1]:
        yield Caveat(
            code=CaveatCode.ACCUMULATION_COSTS_TIME,
            text=f"{asked}. By the noise scale, a step after each {single.effective_batch_size:,} "
            f"would take {times_s[0] / times_s[1]:.0%} of the time to the target: accumulation "
            "makes steps rarer and not cheaper (arXiv 2507.07101).",
        )
    else:
        yield Caveat(
            code=CaveatCode.ACCUMULATION_SAVES_TIME,
            text=f"{asked}. By the noise scale that is worth it: a step after each "
            f"{single.effective_batch_size:,} would take {times_s[0] / times_s[1]:.2g} times as "
            "long to the target.",
        )
