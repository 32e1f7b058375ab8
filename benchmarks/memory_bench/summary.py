"""What all searches amount to: geometric means, and how far we are ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.memory_bench.found import Found, ModelResult
from benchmarks.memory_bench.tools import PEERS, TOOLS

Cost = Callable[[Found], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How much cheaper a tool is than the peers: geometric means over the models.

    On each model, only peers whose size fits are considered.

    Attributes:
        over_best: Over the peer that returned the largest size.
        over_cheapest: Over the peer with the least cost, however small its size.
    """

    over_best: float | None
    over_cheapest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSummary:
    """One tool over all models.

    Attributes:
        fit_count: Models for which the size returned fits.
        lowest_ratio: Lowest size returned over the true maximum, of those that fit.
        mean_ratio: Their geometric mean; None when none fits.
        out_of_memory_count: Errors in all.
        samples: Samples in all.
        search_s: Seconds in all.
        fewer_samples: The lead in samples. A search of no samples counts as one of one.
        less_time: The lead in seconds.
        worst_peak_error: Predicted peak over the real one, less 1, where it is farthest from 0.
    """

    fit_count: int
    lowest_ratio: float | None
    mean_ratio: float | None
    out_of_memory_count: int
    samples: int
    search_s: float
    fewer_samples: Lead
    less_time: Lead
    worst_peak_error: float | None


def geometric_mean(values: Iterable[float]) -> float | None:
    """Return the geometric mean of positive numbers; None of none."""
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else None


def summarise(results: Sequence[ModelResult]) -> dict[str, ToolSummary]:
    """Return each tool's summary."""
    return {tool: _summarise_tool(tool, results) for tool in TOOLS}


def _summarise_tool(tool: str, results: Sequence[ModelResult]) -> ToolSummary:
    found = [result.found[tool] for result in results]
    ratios = [
        ratio
        for result in results
        if result.fits(tool) and (ratio := result.ratio(tool)) is not None
    ]
    return ToolSummary(
        fit_count=len(ratios),
        lowest_ratio=min(ratios, default=None),
        mean_ratio=geometric_mean(ratios),
        out_of_memory_count=sum(one.out_of_memory_count for one in found),
        samples=sum(one.samples for one in found),
        search_s=sum(one.search_s for one in found),
        fewer_samples=_lead(tool, results, lambda one: max(1, one.samples)),
        less_time=_lead(tool, results, lambda one: one.search_s),
        worst_peak_error=max(
            (error for result in results if (error := result.peak_error(tool)) is not None),
            key=abs,
            default=None,
        ),
    )


def _lead(tool: str, results: Sequence[ModelResult], cost: Cost) -> Lead:
    over_best, over_cheapest = [], []
    for result in results:
        peers = [result.found[peer] for peer in PEERS if result.fits(peer)]
        if peers:
            own = cost(result.found[tool])
            best = max(peers, key=lambda one: (one.batch_size or 0, -cost(one)))
            over_best.append(cost(best) / own)
            over_cheapest.append(min(map(cost, peers)) / own)
    return Lead(over_best=geometric_mean(over_best), over_cheapest=geometric_mean(over_cheapest))
