"""What a setting takes of power and money."""

from __future__ import annotations

from bsadvise.model.advice import Advice
from bsadvise.model.units import format_energy, format_number


def energy_words(advice: Advice) -> str | None:
    """Return what the devices draw, and take in an epoch; None where it was not measured."""
    if advice.mean_power_w is None:
        return None
    words = f"{format_number(advice.mean_power_w)} W a device while steps are computed"
    if advice.energy_per_epoch_j is not None:
        words += f", {format_energy(advice.energy_per_epoch_j)} an epoch"
    return words


def cost_words(advice: Advice) -> str | None:
    """Return what an epoch costs; None where no price was given."""
    if advice.cost_per_epoch is None:
        return None
    return f"{format_number(advice.cost_per_epoch)} an epoch, at the price given for a device-hour"
