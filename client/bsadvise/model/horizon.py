"""How long a training is, and how its learning rate moves from the first step to the last.

symbol  meaning                                             unit
T       optimizer steps of a training                       steps
w       steps of warm-up                                    steps
d       steps of decay, the last ones                       steps
m(s)    rate of step s over the peak rate, s from 0         –
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bsadvise.model.units import parse_seconds
from bsadvise.model.values import OpenEnum, Value


class LengthUnit(OpenEnum):
    """What a training's length is counted in."""

    EPOCHS = "epochs"
    """Passes over the training data."""
    STEPS = "steps"
    """Optimizer steps of the reference batch: with another batch, as many samples."""
    SAMPLES = "samples"
    """Samples seen, repeats counted."""
    SECONDS = "seconds"
    """Seconds of training on the device."""


class ScheduleShape(OpenEnum):
    """How the rate falls from its peak."""

    CONSTANT = "constant"
    """Not at all."""
    LINEAR = "linear"
    """In a straight line, from the end of warm-up to the last step."""
    COSINE = "cosine"
    """By half a cosine, from the end of warm-up to the last step."""
    WSD = "wsd"
    """Not until the last steps, then in a straight line: warm-up, stable, decay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLength(Value):
    """The length of the training that advice is for.

    Attributes:
        amount: How many of the unit, above 0.
        unit: What is counted.
    """

    amount: float
    unit: LengthUnit

    def __str__(self) -> str:
        if self.unit is LengthUnit.SECONDS:
            return f"{self.amount:g} s"
        return f"{self.amount:,.10g} {self.unit.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRateSchedule(Value):
    """A schedule for trainings of any length.

    Attributes:
        shape: How the rate falls.
        final_share: Last rate over the peak rate, 0 to 1.
        decay_share: Share of the steps, at the end, in which a WSD schedule decays, above 0 to 1.
        warmup_share: Share of the steps in which the rate rises from near 0, 0 to below 1.
        warmup_steps: Steps of warm-up where they are counted and no share; None otherwise.
    """

    shape: ScheduleShape = ScheduleShape.CONSTANT
    final_share: float = 0.0
    decay_share: float = 0.2
    warmup_share: float = 0.0
    warmup_steps: int | None = None

    def over(self, total_steps: int) -> StepSchedule:
        """Return the schedule of a training of T steps, at least 1."""
        warmup_steps = self.warmup_steps
        if warmup_steps is None:
            warmup_steps = round(self.warmup_share * total_steps)
        warmup_steps = min(warmup_steps, total_steps - 1)
        match self.shape:
            case ScheduleShape.LINEAR | ScheduleShape.COSINE:
                decay_steps = total_steps - warmup_steps
            case ScheduleShape.WSD:
                decay_steps = min(
                    max(1, round(self.decay_share * total_steps)), total_steps - warmup_steps
                )
            case _:
                decay_steps = 0
        return StepSchedule(
            shape=self.shape,
            total_steps=total_steps,
            warmup_steps=warmup_steps,
            decay_steps=decay_steps,
            final_share=self.final_share,
        )

    def __str__(self) -> str:
        text = self.shape.value
        if self.shape is ScheduleShape.WSD:
            text += f", decay over the last {100 * self.decay_share:g} %"
        if self.shape is not ScheduleShape.CONSTANT and self.final_share:
            text += f" to {100 * self.final_share:g} %"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSchedule(Value):
    """The schedule of one training, in optimizer steps.

    Attributes:
        shape: How the rate falls in the decay.
        total_steps: T, at least 1.
        warmup_steps: w, 0 to T − 1. Step w − 1 is the first at the peak rate.
        decay_steps: d, 0 to T − w.
        final_share: m after the last step, 0 to 1.
    """

    shape: ScheduleShape
    total_steps: int
    warmup_steps: int = 0
    decay_steps: int = 0
    final_share: float = 0.0

    def multiplier(self, step: int) -> float:
        """Return m(s), 0 to 1: that of ``LambdaLR``, which has the first step at a share 1/w."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        decayed = step - (self.total_steps - self.decay_steps)
        if decayed <= 0 or self.decay_steps == 0:
            return 1.0
        progress = min(decayed / self.decay_steps, 1.0)
        if self.shape is ScheduleShape.COSINE:
            progress = (1 - math.cos(math.pi * progress)) / 2
        return 1.0 - (1.0 - self.final_share) * progress


_LENGTH = re.compile(
    r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(k|m|b)?\s*(epochs?|steps?|samples?)\s*", re.IGNORECASE | re.ASCII
)
_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}
_LENGTH_WANTED = "a length such as 90epochs, 200000steps, 50Msamples or 6h"
_SCHEDULE_WANTED = "a schedule such as constant, linear, cosine, cosine:0.1, wsd or wsd:0.2"
_WARMUP_WANTED = "a warm-up such as 2% or 500steps"
_BUDGET_WANTED = "a budget such as 60s, 5m or 5%"


def parse_length(text: str) -> TrainingLength:
    """Return the length that "90epochs", "200000steps", "50Msamples" or "6h" stands for.

    Raises:
        ValueError: The text is no length.
    """
    match = _LENGTH.fullmatch(text)
    if match is not None:
        unit = LengthUnit(match[3].lower().rstrip("s") + "s")
        amount = float(match[1]) * _THOUSANDS[(match[2] or "").lower()]
    else:
        unit, amount = LengthUnit.SECONDS, _seconds(text)
    if not amount > 0:
        raise ValueError(f"{text!r} is not above 0: give {_LENGTH_WANTED}")
    return TrainingLength(amount=amount, unit=unit)


def _seconds(text: str) -> float:
    # A bare number says no unit: of epochs, steps and seconds it could be any.
    if re.fullmatch(r"\s*[\d.]+\s*", text):
        raise ValueError(f"{text!r} has no unit: give {_LENGTH_WANTED}")
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not {_LENGTH_WANTED}") from error


def parse_schedule(text: str) -> LearningRateSchedule:
    """Return the schedule that "linear", "cosine:0.1" or "wsd:0.2" stands for.

    After the colon a cosine's or a line's is the last rate over the peak rate; a WSD schedule's is
    the share of the steps in which it decays.

    Raises:
        ValueError: The text is no schedule.
    """
    name, colon, number = text.strip().lower().partition(":")
    shapes = {shape.value: shape for shape in ScheduleShape}
    if name not in shapes or (colon and name == ScheduleShape.CONSTANT.value):
        raise ValueError(f"{text!r} is not {_SCHEDULE_WANTED}")
    shape = shapes[name]
    if not colon:
        return LearningRateSchedule(shape=shape)
    share = _share(number, text, _SCHEDULE_WANTED)
    if shape is ScheduleShape.WSD:
        if share == 0:
            raise ValueError(f"{text!r} decays over no step: give a share above 0")
        return LearningRateSchedule(shape=shape, decay_share=share)
    return LearningRateSchedule(shape=shape, final_share=share)


def parse_warmup(text: str) -> tuple[float, int | None]:
    """Return share and steps of warm-up that "2%" or "500steps" stands for, one of them set.

    Raises:
        ValueError: The text is no warm-up.
    """
    match = re.fullmatch(r"\s*(\d+)\s*steps?\s*", text, re.IGNORECASE | re.ASCII)
    if match is not None:
        return 0.0, int(match[1])
    if not text.strip().endswith("%"):
        raise ValueError(f"{text!r} is not {_WARMUP_WANTED}")
    share = _share(text.strip().removesuffix("%"), text, _WARMUP_WANTED, whole=100.0)
    if share == 1:
        raise ValueError(f"{text!r} leaves no step at the peak rate: give less than 100%")
    return share, None


def parse_budget(text: str) -> tuple[float | None, float | None]:
    """Return seconds, or the share of a training's own time, that "60s" or "5%" stands for.

    Raises:
        ValueError: The text is neither.
    """
    if not text.strip().endswith("%"):
        return parse_seconds(text), None
    share = _share(text.strip().removesuffix("%"), text, _BUDGET_WANTED, whole=100.0)
    if share == 0:
        raise ValueError(f"{text!r} leaves no time to measure: give more than 0%")
    return None, share


def _share(number: str, text: str, wanted: str, *, whole: float = 1.0) -> float:
    try:
        share = float(number) / whole
    except ValueError as error:
        raise ValueError(f"{text!r} is not {wanted}") from error
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not {wanted}: {number.strip()} is no share of {whole:g}")
    return share


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHorizon(Value):
    """The training that the advice is for, with the setting that it advises.

    Attributes:
        total_steps: T, optimizer steps.
        total_samples: Samples seen, repeats counted.
        epochs: Passes over the training data; None for a stream.
        time_s: Modelled seconds; None where steps were not timed.
        schedule: How the rate moves.
        warmup_steps: w.
        decay_steps: d.
        carried_factor: Its samples over those of the longest complete training that was measured,
            at least 1; None where none was.
        source: Who said how long the training is: "request" or "file".
        batch_factor: The advised batch over that of the best complete training, above 0; None where
            none was made.
        rate_factor: The advised peak rate over that of the best complete training, above 0; None
            where none was made.
    """

    total_steps: int
    total_samples: int
    epochs: float | None = None
    time_s: float | None = None
    schedule: LearningRateSchedule
    warmup_steps: int
    decay_steps: int
    carried_factor: float | None = None
    source: str
    batch_factor: float | None = None
    rate_factor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalLoss(Value):
    """The held-out loss that a training is expected to end with.

    Attributes:
        value: The expected loss.
        low: Lower end of its 80 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float
