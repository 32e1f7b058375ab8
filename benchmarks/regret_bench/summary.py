"""Summary over all workloads: regrets, the frontier, and the coverage of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.memory_bench.summary import geometric_mean
from benchmarks.regret_bench.answers import SHARES
from benchmarks.regret_bench.methods import METHODS, OURS, PEERS
from benchmarks.regret_bench.results import Judged, Result

MERIT = 1.2
"""The figure of merit is the least cost from which on the mean regret is at most this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """One method at one cost, over some workloads.

    Attributes:
        workload_count: Workloads that it was asked for.
        mean: Geometric mean of its times to the target over the oracle's.
        worst: The largest of them.
        worst_workload: Its workload.
        mean_cost: Geometric mean of its search costs, over the oracle's time; None for methods
            without a search.
        reached_count: Answers that reached the target before the cap.
        answer_count: Answers.
    """

    workload_count: int
    mean: float
    worst: float
    worst_workload: str
    mean_cost: float | None
    reached_count: int
    answer_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often the 80 % intervals of the speedup over the reference contained the true ratio.

    Attributes:
        held_count: Answers whose interval contained it.
        counted_count: Answers with an interval whose true ratio is known.
        same_count: Of those, answers that are the reference itself, whose ratio is 1 by definition.
        silent_count: Answers without an interval.
        unknown_count: Answers with one, where the target was not reached in time.
    """

    held_count: int
    counted_count: int
    same_count: int
    silent_count: int
    unknown_count: int

    @property
    def share(self) -> float | None:
        """Held over counted; None if none was counted."""
        return self.held_count / self.counted_count if self.counted_count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Summary over all workloads.

    Attributes:
        regrets: By method, over all workloads, at the default budget.
        tuned: The same over the workloads that the advisor was tuned on.
        held_out: The same over the others.
        frontier: By method, then by seconds allowed over the oracle's.
        merits: By method, the least of those costs from which on the regret is at most MERIT.
        coverage: Of our intervals.
        hindsight: Geometric mean, over the oracle's, of the times of the best in hindsight; None
            if not known.
        behind: Workloads and other methods whose answers reached the target earlier than ours, at
            the default budget.
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
    """Return the summary of some workloads."""
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
    """Return a method's regret at a cost; None if it was not asked."""
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
    counts = [result.reached(method, share) for result in asked]
    return Regret(
        workload_count=len(ratios),
        mean=mean,
        worst=ratios[worst],
        worst_workload=worst,
        mean_cost=geometric_mean(costs),
        reached_count=sum(reached for reached, _ in counts),
        answer_count=sum(count for _, count in counts),
    )


def merit(regrets: dict[float, Regret]) -> float | None:
    """Return the least cost from which on the mean is at most MERIT; None if there is none."""
    least = None
    for share in sorted(regrets, reverse=True):
        if regrets[share].mean > MERIT:
            break
        least = share
    return least


def cover(results: Sequence[Result]) -> Coverage:
    """Return the coverage of our intervals."""
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
