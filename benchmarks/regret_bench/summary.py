"""What all workloads amount to: regrets, the frontier, and whether intervals hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.memory_bench.summary import geometric_mean
from benchmarks.regret_bench.answers import SHARES
from benchmarks.regret_bench.methods import METHODS, OURS, PEERS
from benchmarks.regret_bench.results import Judged, Result

MERIT = 1.2
"""The figure of merit is the least cost from which on the regret is at most this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """One method at one cost, over some workloads.

    Attributes:
        workload_count: Workloads that it was asked for.
        mean: Geometric mean of its times to the target over the oracle's.
        worst: The largest of them.
        worst_workload: Where.
        mean_cost: Geometric mean of what its searches cost, over the oracle's time; None for
            those that search nothing.
        arrived_count: Answers that came to the target before the cap.
        answer_count: Answers.
    """

    workload_count: int
    mean: float
    worst: float
    worst_workload: str
    mean_cost: float | None
    arrived_count: int
    answer_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often the 80 % intervals of the speedup over the reference held the true ratio.

    Attributes:
        held_count: Answers whose interval held it.
        counted_count: Answers that gave an interval, and whose truth is known.
        same_count: Of those, answers that were the reference itself, and so could not fail.
        silent_count: Answers that gave none.
        unknown_count: Answers that gave one, where the target was not come to in time.
    """

    held_count: int
    counted_count: int
    same_count: int
    silent_count: int
    unknown_count: int

    @property
    def share(self) -> float | None:
        """Held over counted; None of none."""
        return self.held_count / self.counted_count if self.counted_count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All of it.

    Attributes:
        regrets: By method, over all workloads, at the default budget.
        tuned: The same over the workloads that the advisor was tuned on.
        held_out: The same over the others.
        frontier: By method, then by seconds allowed over the oracle's.
        merits: By method, the least of those costs from which on the regret is small.
        coverage: Of our intervals.
        hindsight: Geometric mean, over the oracle's, of the times of the best in hindsight; None
            where it is not known.
        behind: Workloads and peers that came to the target sooner than we, at the default budget.
    """

    regrets: dict[str, Regret]
    tuned: dict[str, Regret]
    held_out: dict[str, Regret]
    frontier: dict[str, dict[float, Regret]]
    merits: dict[str, float | None]
    coverage: Coverage
    hindsight: float | None
    behind: tuple[tuple[str, str], ...]


def summarise(results: Sequence[Result]) -> Summary:
    """Return what the workloads amount to."""
    frontier = {
        name: _by_share(results, name) for name, entry in METHODS.items() if entry.has_frontier
    }
    return Summary(
        regrets=_by_method(results),
        tuned=_by_method([result for result in results if not result.is_held_out]),
        held_out=_by_method([result for result in results if result.is_held_out]),
        frontier=frontier,
        merits={name: merit(regrets) for name, regrets in frontier.items()},
        coverage=cover(results),
        hindsight=geometric_mean(
            ratio for result in results if (ratio := result.hindsight_ratio) is not None
        ),
        behind=tuple(
            (result.workload, peer)
            for result in results
            for peer in PEERS
            if _is_behind(result, peer)
        ),
    )


def regret(results: Sequence[Result], method: str, share: float | None = None) -> Regret | None:
    """Return a method's regret at a cost; None where it was asked for no workload."""
    ratios = {
        result.workload: ratio
        for result in results
        if (ratio := result.ratio(method, share)) is not None
    }
    mean = geometric_mean(ratios.values())
    if mean is None:
        return None
    worst = max(ratios, key=lambda name: ratios[name])
    asked = [result for result in results if result.workload in ratios]
    costs = [cost for result in asked if (cost := result.cost(method, share))]
    counts = [result.arrived(method, share) for result in asked]
    return Regret(
        workload_count=len(ratios),
        mean=mean,
        worst=ratios[worst],
        worst_workload=worst,
        mean_cost=geometric_mean(costs),
        arrived_count=sum(arrived for arrived, _ in counts),
        answer_count=sum(count for _, count in counts),
    )


def merit(regrets: dict[float, Regret]) -> float | None:
    """Return the least cost from which on the mean is at most MERIT; None where none is."""
    least = None
    for share in sorted(regrets, reverse=True):
        if regrets[share].mean > MERIT:
            break
        least = share
    return least


def cover(results: Sequence[Result]) -> Coverage:
    """Return how often our intervals held."""
    silent = unknown = same = 0
    held: list[bool] = []
    for result in results:
        for one in result.of(OURS):
            interval, truth = one.found.speedup_interval, _true_speedup(result, one)
            if interval is None:
                silent += 1
            elif truth is None:
                unknown += 1
            else:
                held.append(interval[0] <= truth <= interval[1])
                same += interval == (1.0, 1.0)
    return Coverage(
        held_count=sum(held),
        counted_count=len(held),
        same_count=same,
        silent_count=silent,
        unknown_count=unknown,
    )


def _true_speedup(result: Result, one: Judged) -> float | None:
    reference_s = result.reference_times_s[one.seed]
    if reference_s is None or one.time_s is None:
        return None
    return reference_s / one.time_s


def _by_method(results: Sequence[Result]) -> dict[str, Regret]:
    found = {name: regret(results, name) for name in METHODS}
    return {name: one for name, one in found.items() if one is not None}


def _by_share(results: Sequence[Result], method: str) -> dict[float, Regret]:
    found = {share: regret(results, method, share) for share in SHARES}
    return {share: one for share, one in found.items() if one is not None}


def _is_behind(result: Result, peer: str) -> bool:
    ours, theirs = result.ratio(OURS), result.ratio(peer)
    return ours is not None and theirs is not None and theirs < ours
