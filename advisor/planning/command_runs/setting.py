"""A setting of a command, and the one that its user trains with now."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.observation import (
    Observation,
    Place,
    PlacedValue,
    PlaceKind,
    Quantity,
    Reference,
)
from bsadvise.model.placeholders import NAMES, name_of, placeholders
from bsadvise.model.task import OptimizerFamily
from bsadvise.model.units import number_text

from advisor.estimators.scaling_rules import scale_learning_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSetting:
    """What a command is told to train with.

    Attributes:
        micro_batch_size: b, samples.
        accumulation_steps: a, batches an optimizer step.
        learning_rate: η.
    """

    micro_batch_size: int
    accumulation_steps: int
    learning_rate: float

    @property
    def effective_batch_size(self) -> int:
        """Samples an optimizer step."""
        return self.micro_batch_size * self.accumulation_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandReference:
    """What the user trains with now, and how another setting is said.

    Attributes:
        setting: The setting.
        quantities: What the command line has placeholders of.
        family: Kind of the optimizer.
    """

    setting: CommandSetting
    quantities: frozenset[Quantity]
    family: OptimizerFamily

    def setting_of(self, micro_batch_size: int, accumulation_steps: int) -> CommandSetting:
        """Return a setting whose rate follows the rule, where a rate can be said."""
        ours, rate = self.setting, self.setting.learning_rate
        ratio = micro_batch_size * accumulation_steps / ours.effective_batch_size
        if Quantity.LEARNING_RATE in self.quantities:
            rate = float(number_text(scale_learning_rate(self.family, rate, ratio)))
        return CommandSetting(
            micro_batch_size=micro_batch_size,
            accumulation_steps=accumulation_steps,
            learning_rate=rate,
        )

    def values_of(self, setting: CommandSetting) -> tuple[PlacedValue, ...]:
        """Return what the command is told for a setting."""
        said = {
            Quantity.MICRO_BATCH_SIZE: setting.micro_batch_size,
            Quantity.LEARNING_RATE: setting.learning_rate,
            Quantity.ACCUMULATION_STEPS: setting.accumulation_steps,
        }
        return tuple(
            PlacedValue(
                place=Place(quantity=quantity, kind=PlaceKind.PLACEHOLDER, name=name_of(quantity)),
                after=value,
            )
            for quantity, value in said.items()
            if quantity in self.quantities
        )


def command_reference(arguments: tuple[str, ...], seen: Observation) -> CommandReference | Refusal:
    """Return what the user trains with, or why that is not known.

    Args:
        arguments: The command line, with its placeholders.
        seen: What its run with the values to begin with has shown.
    """
    begun, found = placeholders(arguments), seen.reference
    problem = _mismatch(begun.get(Quantity.MICRO_BATCH_SIZE), found)
    size, rate, accumulation = (begun.get(quantity) for quantity in NAMES.values())
    if found is not None:
        size, rate = size or found.micro_batch_size, rate or found.learning_rate
        accumulation = accumulation or found.accumulation_steps
    if size is None:
        problem = (
            "No DataLoader of torch gives its batches, so that the size it trains with now could "
            "not be seen: say it as {batch=64} in place of {batch}, and the rate as {lr=0.1}."
        )
    elif rate is None:
        problem = (
            "The learning rate that it trains with now could not be seen: say it as {lr=0.1} in "
            "place of {lr}."
        )
    if problem is not None or size is None or rate is None:
        return Refusal(code=RefusalCode.MODEL_FILE, message=problem or "")
    return CommandReference(
        setting=CommandSetting(
            micro_batch_size=int(size),
            accumulation_steps=int(accumulation or 1),
            learning_rate=rate,
        ),
        quantities=frozenset(begun),
        family=_family_of(seen.optimizer_name),
    )


def _mismatch(said: float | None, found: Reference | None) -> str | None:
    if said is None or found is None or found.micro_batch_size == said:
        return None
    return (
        f"It is told to train with a batch of {said:g}, and its training loader gives "
        f"{found.micro_batch_size:,} samples: {{batch}} must stand where the size of a batch is "
        "said."
    )


def _family_of(optimizer_name: str) -> OptimizerFamily:
    name = optimizer_name.lower()
    if "adam" in name or "rmsprop" in name:
        return OptimizerFamily.ADAM
    return OptimizerFamily.SGD if name.startswith("sgd") else OptimizerFamily.OTHER
