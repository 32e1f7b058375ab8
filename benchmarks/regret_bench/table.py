"""Tables of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.regret_bench.answers import SHARES
from benchmarks.regret_bench.methods import METHODS
from benchmarks.regret_bench.results import Result
from benchmarks.regret_bench.summary import Regret, Summary
from benchmarks.regret_bench.target import CAP


def workloads_table(results: Sequence[Result]) -> Table:
    """Return one row a workload, one column a method."""
    table = Table(
        title="Time to the target over the oracle's, medians over the seeds, default budget; "
        f"{CAP:g}+ where it was not reached within {CAP:g} times the oracle's"
    )
    for title in ("workload", "target", "oracle"):
        table.add_column(title)
    for entry in METHODS.values():
        table.add_column(entry.title, justify="right")
    for result in sorted(results, key=lambda result: result.is_held_out):
        table.add_row(
            result.workload + (" (held out)" if result.is_held_out else ""),
            f"{result.target_loss:.4g}",
            f"{result.oracle.batch_size} at {result.oracle.learning_rate:.3g}",
            *(_ratio(result.ratio(name)) for name in METHODS),
        )
    return table


def regrets_table(summary: Summary) -> Table:
    """Return one row a method: means over all workloads, those tuned on and those held out."""
    table = Table(title="All workloads: time to the target over the oracle's, default budget")
    table.add_column("method")
    for title in ("mean", "worst", "where", "tuned on", "held out", "reached", "cost"):
        table.add_column(title, justify="right")
    for name, one in summary.regrets.items():
        table.add_row(
            METHODS[name].title,
            _ratio(one.mean),
            _ratio(one.worst),
            one.worst_workload,
            _mean(summary.tuned, name),
            _mean(summary.held_out, name),
            f"{one.reached_count} of {one.answer_count}",
            "none" if one.mean_cost is None else f"{one.mean_cost:.3g}x",
        )
    return table


def frontier_table(summary: Summary) -> Table:
    """Return one row a method, one column a cost: mean and worst."""
    table = Table(
        title="Regret against the seconds that a search may take, over the oracle's time: "
        "geometric mean / worst"
    )
    table.add_column("method")
    for share in SHARES:
        table.add_column(f"{share:g}x", justify="right")
    table.add_column("mean at most 1.2 from", justify="right")
    for name, regrets in summary.frontier.items():
        merit = summary.merits[name]
        table.add_row(
            METHODS[name].title,
            *(_both(regrets.get(share)) for share in SHARES),
            "none of these" if merit is None else f"{merit:g}x",
        )
    return table


def closing_lines(summary: Summary) -> list[str]:
    """Return results that are in no table."""
    cover = summary.coverage
    covered = "none" if cover.share is None else f"{cover.share:.0%}"
    held = (
        f"80 % intervals that contained the true speedup: {cover.held_count} of "
        f"{cover.counted_count} ({covered}); "
        f"{cover.same_count} of them for the reference itself; {cover.silent_count} answers gave "
        f"none, for {cover.unknown_count} the true speedup is not known."
    )
    lines = [held]
    if (share := summary.hindsight) is not None:
        lines.append(
            f"By the seeds of the contest the best of the grid takes {share:.2f} of the oracle's "
            f"time, by geometric mean: over it every mean is {1 / share:.2f} times as large."
        )
    lines += [
        f"{METHODS[peer].title} was ahead on {workload}." for workload, peer in summary.behind
    ]
    return lines


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "none"
    return f"{CAP:g}+" if ratio >= CAP else f"{ratio:.2f}"


def _mean(regrets: Mapping[str, Regret], name: str) -> str:
    return _ratio(regrets[name].mean if name in regrets else None)


def _both(one: Regret | None) -> str:
    return "none" if one is None else f"{_ratio(one.mean)} / {_ratio(one.worst)}"
