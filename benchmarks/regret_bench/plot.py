"""A plot of the frontier and of the workloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from benchmarks.regret_bench.answers import SHARES
from benchmarks.regret_bench.methods import METHODS, OURS
from benchmarks.regret_bench.results import Result
from benchmarks.regret_bench.summary import MERIT, Summary
from benchmarks.regret_bench.target import CAP

_COLOURS = {
    OURS: "#0b6e4f",
    "optuna": "#c8702a",
    "random": "#7a7a7a",
    "reference": "#3f6fb5",
    "habit": "#8e63a8",
    "share": "#b5a33f",
    "lightning": "#b8405e",
}
_MARKERS = {"reference": "s", "habit": "D", "share": "^", "lightning": "v"}
_RATIOS = (1, 1.2, 1.5, 2, 3, 5, CAP)


def draw(results: Sequence[Result], summary: Summary, path: Path) -> None:
    """Write the plot as PNG."""
    mpl.use("agg")
    style = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10}
    with plt.rc_context(style):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(11.5, 5), width_ratios=(1, 1.15), layout="constrained"
        )
        _draw_frontier(left, summary)
        _draw_workloads(right, results)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _draw_frontier(axes: Axes, summary: Summary) -> None:
    asked = {name: regrets for name, regrets in summary.frontier.items() if regrets}
    for name, regrets in asked.items():
        shares = sorted(regrets)
        axes.plot(
            shares,
            [regrets[share].mean for share in shares],
            marker="o",
            markersize=5,
            linewidth=2 if name == OURS else 1.4,
            color=_COLOURS[name],
            label=METHODS[name].title,
        )
    axes.axhline(MERIT, color="#bbbbbb", linewidth=0.8, linestyle="--", zorder=0)
    least = min((one.mean for regrets in asked.values() for one in regrets.values()), default=1.0)
    axes.set(xscale="log", yscale="log", ylim=(0.95 * min(least, 1.0), CAP * 1.1))
    _mark(axes.xaxis, SHARES)
    _mark(axes.yaxis, _RATIOS)
    axes.set_xlabel("modelled seconds of search, over the oracle's best training")
    axes.set_ylabel("time to target over the oracle's, geometric mean")
    axes.set_title("Time to target by search cost", loc="left", fontsize=11)
    axes.legend(frameon=False)


def _draw_workloads(axes: Axes, results: Sequence[Result]) -> None:
    ordered = sorted(results, key=lambda result: not result.is_held_out)
    for name, entry in METHODS.items():
        ratios = [result.ratio(name) for result in ordered]
        places = [place for place, ratio in enumerate(ratios) if ratio is not None]
        axes.scatter(
            [ratio for ratio in ratios if ratio is not None],
            places,
            s=52 if name == OURS else 26,
            color=_COLOURS[name],
            marker=_MARKERS.get(name, "o"),
            zorder=3 if name == OURS else 2,
            label=entry.title,
            clip_on=False,
        )
    least = min((r.ratio(name) or CAP for r in ordered for name in METHODS), default=1.0)
    axes.set(xscale="log", xlim=(0.95 * min(least, 1.0), CAP * 1.05))
    _mark(axes.xaxis, _RATIOS)
    labels = [r.workload + (" (held out)" if r.is_held_out else "") for r in ordered]
    axes.set_yticks(range(len(ordered)), labels)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"time to target over the oracle's; at {CAP:g}: not reached by then")
    axes.set_title("Each workload, default budget", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)


def _mark(axis: Axis, values: Iterable[float]) -> None:
    """Label only these values on a logarithmic axis."""
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
