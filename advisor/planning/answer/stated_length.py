"""What is said of a training of a stated length: its steps, and how far it was carried."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.horizon import FinalLoss, TrainingHorizon
from bsadvise.model.units import format_number, format_rate

from advisor.planning.answer.choice import Choice
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.horizon.carrying import CarriedSetting
from advisor.planning.horizon.law_of_best import LawOfBest
from advisor.planning.horizon.rungs import BY_FINAL_LOSS, CompleteRungs
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.trials.trials import Trials


def training_horizon(view: LogView, choice: Choice) -> TrainingHorizon | None:
    """Return the stated training with a setting; None where no length is known in samples."""
    stated, split = view.model(StatedTraining), choice.split
    if not stated.is_countable or view.step_times is None:
        return None
    size, carried = split.effective_batch_size, choice.carried
    samples = stated.samples(size)
    steps = stated.steps(size, samples)
    dataset_size = view.profile.dataset_size
    total_samples = steps.total_steps * size
    return TrainingHorizon(
        total_steps=steps.total_steps,
        total_samples=total_samples,
        epochs=None if dataset_size is None else total_samples / dataset_size,
        time_s=steps.total_steps * view.model(StepCost).step_time_s(split),
        schedule=stated.schedule,
        warmup_steps=steps.warmup_steps,
        decay_steps=steps.decay_steps,
        carried_factor=None if carried is None else carried.carried_factor,
        batch_factor=None if carried is None else carried.batch_factor,
        rate_factor=None if carried is None else carried.rate_factor,
        source=stated.source,
    )


def about_stated_length(view: LogView, choice: Choice) -> Iterator[Caveat]:
    """Yield how far the setting was carried, or why none was carried."""
    stated = view.model(StatedTraining)
    if stated.length is None:
        if view.request.schedule is not None:
            yield Caveat(
                code=CaveatCode.SCHEDULE_WITHOUT_LENGTH,
                text="The schedule and its warm-up change nothing, since nobody said how long the "
                "training is: give --train-for, or TOTAL_EPOCHS in the file.",
            )
        return
    if not stated.is_countable:
        yield Caveat(
            code=CaveatCode.LENGTH_NOT_COUNTED,
            text=f"The training is to last {stated.length}, and how many samples an epoch of this "
            "stream has is not known: give --train-for in steps or samples.",
        )
        return
    if choice.carried is not None:
        yield Caveat(code=CaveatCode.CARRIED_TO_LENGTH, text=_carried_words(view, choice.carried))
    elif view.device.present and not view.profile.is_synthetic:
        yield Caveat(
            code=CaveatCode.LENGTH_NOT_TRAINED,
            text=f"The setting is not one for a training of {stated.length}: no complete training "
            f"says anything of it, {_why_none(view)}. It holds for a constant rate and trainings "
            "about as long as the trials were.",
        )
    is_tried = view.device.present and view.request.max_trials != 0
    if is_tried and _is_reference(view, choice):
        yield Caveat(code=CaveatCode.REFERENCE_ADVISED, text=_reference_words(view, choice))


def _why_none(view: LogView) -> str:
    """Return why there is no complete training to advise from."""
    request = view.request
    if view.profile.evaluation_size == 0:
        return "since no data is held out that could judge it"
    if request.max_trials == 0:
        return "as no trials were asked for"
    if request.objective not in BY_FINAL_LOSS:
        return f"as --objective {request.objective} weighs no loss"
    if view.step_times is not None and view.model(CompleteRungs).made.begun:
        return "since each that was begun diverged, failed or was cut for want of time"
    return "for want of time"


def _is_reference(view: LogView, choice: Choice) -> bool:
    is_batch = choice.split.effective_batch_size == view.model(BatchSizes).reference
    rate = reference_learning_rate(view)
    return is_batch and math.isclose(choice.learning_rate, rate, rel_tol=0.01)


def _reference_words(view: LogView, choice: Choice) -> str:
    words, others, what = "The advice is the reference recipe itself", 0, "trials"
    if choice.carried is not None:
        others, what = len(view.model(CompleteRungs).compared) - 1, "complete trainings"
    elif view.step_times is not None:
        others = len(view.model(Trials).all) - 1
    if others > 0:
        return f"{words}: of {others} {what} of other batches or rates none was clearly better."
    return f"{words}: there was no time to try another batch or rate."


def _carried_words(view: LogView, carried: CarriedSetting) -> str:
    then = _if_longer(view, carried)
    count = len(view.model(CompleteRungs).compared)
    if carried.is_measured:
        whole = len(view.model(CompleteRungs).whole)
        found = "" if view.model(CompleteRungs).is_whole else f", after {count} shorter ones"
        best_of = f"the best of {whole} trainings" if whole > 1 else "a training"
        return f"Measured: {best_of} of this very length{found}. {then}"
    best = view.model(LawOfBest).best
    times = format_number(carried.carried_factor)
    batch, rate = map(format_number, (carried.batch_factor, carried.rate_factor))
    return (
        f"Measured in {count} complete trainings of 1/{times} of the length, of which batch "
        f"{best.batch_size:,} at rate {format_rate(best.learning_rate)} ended best, and carried "
        f"{times}x: peak rate x {rate} by a law, batch x {batch}, since {carried.batch_carry}. "
        f"{then}"
    )


def _if_longer(view: LogView, carried: CarriedSetting) -> str:
    """Return how the law would change the setting for a longer training."""
    factor, law = view.tuning.horizon.longer_factor, view.model(LawOfBest).law
    samples, size = carried.samples, carried.split.effective_batch_size
    longer = factor * samples
    batch = float((law.log_best_batch(longer) - law.log_best_batch(samples)).mean())
    rate = float((law.log_best_rate(size, longer) - law.log_best_rate(size, samples)).mean())
    batch_words, rate_words = map(format_number, (math.exp(batch), math.exp(rate)))
    return (
        f"By the law a training {factor:g} times as long has batch x {batch_words}, or at this "
        f"batch rate x {rate_words}."
    )


def final_loss(view: LogView, choice: Choice) -> FinalLoss | None:
    """Return the final loss of the very training that was made; None where it was carried."""
    if choice.carried is None or not choice.carried.is_measured:
        return None
    best = view.model(CompleteRungs).best_whole
    return None if best is None else FinalLoss(value=best.loss, low=best.loss, high=best.loss)
