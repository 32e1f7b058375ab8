"""How many processes a data loader needs to keep up with the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.device import DeviceKind
from bsadvise.model.units import format_seconds

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost


@dataclass(frozen=True, slots=True)
class LoaderBottleneck:
    """A loader that training waits for.

    Attributes:
        compute_s: Seconds of a step on one device, loading left out.
        loading_s: Seconds that the loader needs for the samples of a step.
        workers: Processes with which training waits less, or not at all; None when no number of
            them would make steps notably faster.
        is_mended: Whether with so many of them the loader keeps up.
    """

    compute_s: float
    loading_s: float
    workers: int | None
    is_mended: bool


def loader_bottleneck(view: LogView, split: Split) -> LoaderBottleneck | None:
    """Return the loader as training with ``split`` waits for it.

    A process is assumed to load as fast among others as alone.

    Returns:
        None when it keeps up, was not timed, or takes little that nothing could save.
    """
    if view.step_times is None or view.load_time_per_sample_s is None:
        return None
    cost, tuning = view.model(StepCost), view.tuning.data.loading
    compute_s, loading_s = cost.compute_time_s(split), cost.loading_time_s(split)
    now_s = cost.step_time_s(split)
    if now_s <= tuning.bottleneck_factor * compute_s:
        return None
    alone_s = loading_s * max(1, view.profile.num_workers)
    needed = math.ceil(alone_s / compute_s) if compute_s else tuning.max_workers
    workers = min(needed, _most_workers(view, split))
    then_s = _step_time_with_workers_s(view, split, compute_s, alone_s, workers)
    is_of_use = tuning.bottleneck_factor * then_s <= now_s
    if not is_of_use and loading_s <= tuning.bottleneck_factor * compute_s:
        return None
    return LoaderBottleneck(
        compute_s=compute_s,
        loading_s=loading_s,
        workers=workers if is_of_use else None,
        is_mended=is_of_use and workers == needed,
    )


def about_loader(bottleneck: LoaderBottleneck) -> Caveat:
    """Return what to know of a loader that training waits for."""
    return Caveat(code=CaveatCode.DATA_LOADER_BOTTLENECK, text=_loader_finding(bottleneck))


def _loader_finding(bottleneck: LoaderBottleneck) -> str:
    finding = (
        f"Training waits for its data loader: {format_seconds(bottleneck.loading_s)} for a step's "
        f"samples, against {format_seconds(bottleneck.compute_s)} of computing."
    )
    if bottleneck.workers is None:
        return f"{finding} More processes would not help: make the data set cheaper to read."
    hint = f"{finding} Try about {bottleneck.workers} loader worker(s)"
    if bottleneck.is_mended:
        return f"{hint}, or a data set that is cheaper to read."
    return f"{hint}, as many as there are processors for, and a data set that is cheaper to read."


def _most_workers(view: LogView, split: Split) -> int:
    """Return how many processes a replica's loader may have, its own loop left a processor."""
    cpu_count, most = view.profile.cpu_count, view.tuning.data.loading.max_workers
    if cpu_count is None:
        return most
    return min(most, cpu_count // split.world_size - 1)


def _step_time_with_workers_s(
    view: LogView, split: Split, compute_s: float, alone_s: float, workers: int
) -> float:
    """Return the seconds of a step once ``workers`` processes load for it."""
    if workers < 1:
        return math.inf
    tuning = view.tuning.data.loading
    computing_s = compute_s + tuning.handover_s * split.accumulation_steps
    if view.device.kind is DeviceKind.CPU:
        # Computing takes all processors already, and loading is theirs to do besides.
        computing_s += alone_s / (view.profile.cpu_count or tuning.max_workers)
    return max(computing_s, alone_s / workers)
