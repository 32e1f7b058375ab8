"""Energy and money: what a setting takes for some time of training, as far as was measured.

    P(b)   watts of one device while steps of micro-batch b are computed
    W      devices
    t      seconds of training
    E      joules, W·P(b)·t
    cost   W·t·(price of a device-hour)

P(b) is read while steps are timed, their data at hand. Where training waits for its loader the
device draws less than that, so that E is then an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import TimeSteps
from bsadvise.model.measurements import StepTimes
from bsadvise.model.request import Objective

from advisor.estimators.power import power_at
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split

_HOUR_S = 3600.0


def step_power_w(view: LogView, split: Split) -> float | None:
    """Return P: the watts of one device while a setting's steps are computed; None if unknown."""
    powers_w = _powers_w(view)
    return power_at(powers_w, split.micro_batch_size) if powers_w else None


def energy_j(view: LogView, split: Split, duration_s: float) -> float | None:
    """Return E: the joules of all devices in some time of training; None if unknown."""
    power_w = step_power_w(view, split)
    return None if power_w is None else split.world_size * power_w * duration_s


def training_cost(view: LogView, split: Split, duration_s: float) -> float | None:
    """Return the price of all devices for some time of training; None where none was given."""
    price = view.request.device_hour_price
    return None if price is None else split.world_size * price * duration_s / _HOUR_S


def about_energy(view: LogView, *, reached_count: int) -> Iterator[Caveat]:
    """Yield how far an answer to "the least energy" is one.

    Args:
        view: The log.
        reached_count: Trials that came to the target, so that their energy is known.
    """
    if view.request.objective is not Objective.ENERGY:
        return
    power_count = len(_powers_w(view))
    if power_count < 2:
        where = "at more than one batch" if power_count else "at all"
        yield Caveat(
            code=CaveatCode.POWER_NOT_READ,
            text=f"What {view.device.name} draws could not be read {where}: energy was taken to "
            "be in "
            "proportion to time, and the least time was looked for.",
        )
    elif reached_count == 0:
        yield Caveat(
            code=CaveatCode.ENERGY_NOT_COMPARED,
            text="No trial came to the target: the batch was chosen for time, not for energy.",
        )
    elif reached_count == 1:
        yield Caveat(
            code=CaveatCode.ENERGY_NOT_COMPARED,
            text="Only one trial came to the target, so that there was none to compare its energy "
            "with: a --target-loss that more come to, or a larger --budget, lets more compete.",
        )


def _powers_w(view: LogView) -> dict[int, float]:
    return {
        command.micro_batch_size: entry.mean_power_w
        for command, entry in view.entries(TimeSteps)
        if isinstance(entry.outcome, StepTimes) and entry.mean_power_w is not None
    }
