"""What is said of a training of a stated length: its steps, and how far it was carried."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.horizon import FinalLoss, TrainingHorizon
from bsadvise.model.units import format_number

from advisor.planning.answer.choice import Choice
from advisor.planning.evidence.log_view import LogView
from advisor.planning.horizon.carrying import CarriedSetting, Carrier
from advisor.planning.horizon.scheduled_trainings import ScheduledTrainings
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.stated_training import StatedTraining


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
        carried_factor=None if carried is None else carried.at_law.carried_factor,
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
    elif choice.carried is not None:
        yield Caveat(code=CaveatCode.CARRIED_TO_LENGTH, text=_carried_words(view, choice.carried))
    elif view.device.present and not view.profile.is_synthetic:
        yield Caveat(
            code=CaveatCode.LENGTH_NOT_TRAINED,
            text=f"The setting is not one for a training of {stated.length}: no complete short "
            "training was made that says anything of it, for want of time or of held-out data. It "
            "holds for a constant rate and trainings about as long as the trials were.",
        )


def _carried_words(view: LogView, carried: CarriedSetting) -> str:
    factor = carried.at_law.carried_factor
    longer_factor = view.tuning.horizon.longer_factor
    longer = longer_factor * carried.at_law.samples
    law = view.model(Carrier).law
    size = carried.split.effective_batch_size
    batch = float((law.log_best_batch(longer) - law.log_best_batch(carried.at_law.samples)).mean())
    rate = float(
        (law.log_best_rate(size, longer) - law.log_best_rate(size, carried.at_law.samples)).mean()
    )
    changes = format_number(math.exp(batch)), format_number(math.exp(rate))
    then = "For a training {:g} times as long: batch x {}, rate at this batch x {}.".format(
        longer_factor, *changes
    )
    if factor <= 1:
        return f"Complete trainings of this length were made. {then}"
    batch_factor = format_number(carried.at_law.batch_factor)
    rate_factor = format_number(carried.at_law.rate_factor)
    times = format_number(factor)
    return (
        f"Measured in complete trainings of 1/{times} of the length and carried {times}x by a law: "
        f"batch x {batch_factor}, rate x {rate_factor}. {then}"
    )


def final_loss(view: LogView, choice: Choice) -> FinalLoss | None:
    """Return the final loss of the very training that was made; None where it was carried."""
    best = view.model(ScheduledTrainings).best
    if choice.carried is None or best is None or not choice.carried.is_measured:
        return None
    return FinalLoss(value=best.loss, low=best.loss, high=best.loss)
