"""What the user should know about the batch itself: how it is split, and how it is to grow."""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.task import BatchSemantics, OptimizerFamily

from advisor.estimators.efficiency import relative_steps
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.semantics import is_loss_sum
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


def about_loss(view: LogView, *, accumulates: bool) -> Iterator[Caveat]:
    """Yield what the loss of a batch is, where it is not the mean over its samples.

    Args:
        view: Of the log.
        accumulates: Whether any setting of the answer accumulates micro-batches.
    """
    match view.profile.batch_semantics:
        case BatchSemantics.SUM:
            yield _about_sum(view, accumulates=accumulates)
        case BatchSemantics.WEIGHTED_MEAN if accumulates:
            yield Caveat(
                code=CaveatCode.LOSS_IS_WEIGHTED_MEAN,
                text="The loss is a weighted mean over the batch (class weights, or a mean over "
                "tokens): each micro-batch is divided by its own weights, so that the accumulated "
                "gradient is not quite that of the whole batch, and in micro-batches of one "
                "sample the weights cancel. Divide by the weights of the whole batch to have just "
                "that.",
            )
        case BatchSemantics.COUPLED:
            yield _about_coupling(view)


def _about_sum(view: LogView, *, accumulates: bool) -> Caveat:
    text = (
        "The loss is the sum over the batch, not the mean: it grows with the batch, and so does "
        "its gradient. Losses were divided by the batch to be compared; the learning rate belongs "
        "to this sum at this batch. The mean (reduction='mean') makes rates of several batches "
        "comparable."
    )
    if accumulates:
        text += " Micro-batches that are accumulated are added, not divided by their number."
    if view.request.world_size > 1:
        text += (
            " DistributedDataParallel averages over replicas: multiply the loss by their number."
        )
    return Caveat(code=CaveatCode.LOSS_IS_SUM, text=text)


def _about_coupling(view: LogView) -> Caveat:
    text = (
        "The loss couples the samples of a batch (as negatives from the batch, mined triplets, "
        "statistics of the batch or a target that is broadcast do): losses of batches of "
        "unlike sizes do not compare. Settings were compared by the held-out measure, whose "
        "batches are the same for all, and no batch is accumulated, which would change the loss."
    )
    if view.request.world_size > 1:
        text += " Each replica couples the samples of its own micro-batch alone."
    return Caveat(code=CaveatCode.LOSS_COUPLES_SAMPLES, text=text)


def about_schedule(view: LogView) -> Caveat:
    """Return what to know of a batch schedule that is given."""
    is_sgd = view.profile.optimizer.family is OptimizerFamily.SGD
    if is_sgd and is_loss_sum(view):
        follows = "stay, as the sum grows"
    elif is_sgd:
        follows = "follow in proportion to the batch"
    else:
        follows = "follow with the root of the batch"
    return Caveat(
        code=CaveatCode.BATCH_SCHEDULE_NOT_RUN,
        text="The batch schedule is predicted from the growth of the gradients' noise, not run; "
        "the "
        f"learning rate would {follows}. The fixed batch was run.",
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
