"""The energy counter, while the device rests and while it works, against the watts that it tells.

The counter is read as often as in a search. A counter of the wrong unit, or one that stands still,
shows in the power that it comes to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any

from advisor.devices.accelerators import Accelerators
from advisor.devices.energy import LocalEnergyMeter
from advisor.devices.inventory import LocalInventory
from advisor.estimators.power import mean_power_w
from benchmarks.gpu.report import Report

_PERIOD_S = 0.02
_POWER_PERIOD_S = 0.25


def measure(name: str, report: Report, *, is_small: bool, limit_s: float) -> None:  # noqa: ARG001
    """Note the power at rest and at work.

    Raises:
        SystemExit: The counter tells no power at work, or more than the device may draw.
    """
    inventory = LocalInventory()
    device = inventory.find("cpu" if is_small else "auto")
    duration_s = 1.0 if is_small else 5.0
    with LocalEnergyMeter(Accelerators()).open(device) as read_energy:
        if read_energy is None:
            raise SystemExit("the device tells no energy")
        found = {}
        # PyTorch is not up while the device rests.
        for what, prepare in (("rest", _rest), ("work", lambda: _work(is_small=is_small))):
            watts: list[float] = []
            reads = _watch(
                read_energy, lambda: inventory.find(device.device_id).power_w, watts,
                prepare(), duration_s,
            )  # fmt: skip
            found[what] = summarise(reads, watts)
            report.note(what, found[what])
    power_w = found["work"]["counter_power_w"]
    report.note("power_limit_w", device.power_limit_w)
    if power_w is None or (device.power_limit_w and power_w > 1.2 * device.power_limit_w):
        raise SystemExit(f"the counter comes to {power_w} W at work")


def summarise(reads: Sequence[tuple[float, float]], watts: Sequence[float]) -> dict[str, Any]:
    """Return what reads come to.

    Args:
        reads: Seconds and joules, by rising time; at least one.
        watts: What the device said meanwhile that it draws.
    """
    updates_s = [now[0] for then, now in pairwise(reads) if now[1] > then[1]]
    gaps_s = [now - then for then, now in pairwise(updates_s)]
    power_w = mean_power_w(reads, begin_s=reads[0][0], end_s=reads[-1][0])
    return {
        "counter_power_w": None if power_w is None else round(power_w, 2),
        "told_power_w": round(fmean(watts), 2) if watts else None,
        "update_count": len(updates_s),
        "update_period_s": round(median(gaps_s), 4) if gaps_s else None,
        "read_count": len(reads),
    }


def _watch(
    read_energy: Callable[[], float | None],
    read_power_w: Callable[[], float | None],
    watts: list[float],
    act: Callable[[], object],
    duration_s: float,
) -> list[tuple[float, float]]:
    """Return reads of a counter while something is done again and again; collect ``watts``."""
    reads: list[tuple[float, float]] = []
    is_over = threading.Event()

    def read() -> None:
        power_at_s = 0.0
        while not is_over.wait(_PERIOD_S):
            energy_j, now_s = read_energy(), time.monotonic()
            if energy_j is not None:
                reads.append((now_s, energy_j))
            if now_s >= power_at_s:
                power_at_s = now_s + _POWER_PERIOD_S
                power_w = read_power_w()
                if power_w is not None:
                    watts.append(power_w)

    reader = threading.Thread(target=read)
    reader.start()
    end_s = time.monotonic() + duration_s
    try:
        while time.monotonic() < end_s:
            act()
    finally:
        is_over.set()
        reader.join()
    return reads


def _rest() -> Callable[[], None]:
    return lambda: time.sleep(_PERIOD_S)


def _work(*, is_small: bool) -> Callable[[], None]:
    """Return what multiplies matrices and waits for the product."""
    import torch  # noqa: PLC0415 - not before the device was looked at

    side, device, precision = (
        (512, "cpu", torch.float32) if is_small else (8192, "cuda:0", torch.bfloat16)
    )
    matrix = torch.randn(side, side, device=device, dtype=precision)
    product = torch.empty_like(matrix)

    def multiply() -> None:
        torch.mm(matrix, matrix, out=product)
        if not is_small:
            torch.cuda.synchronize()

    return multiply
