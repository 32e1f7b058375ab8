"""The results as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.memory_bench.found import Found, ModelResult
from benchmarks.memory_bench.summary import Lead, ToolSummary

_MIB = 1 << 20


def results_table(results: Sequence[ModelResult]) -> Table:
    """Return one row a model and tool."""
    table = Table(title="Largest batch on a capacity-limited CPU")
    table.add_column("model, limit, true maximum")
    table.add_column("tool")
    for title in ("returned", "of true", "tried", "run", "samples", "out of memory", "seconds"):
        table.add_column(title, justify="right")
    for result in results:
        heading = f"{result.model}, {result.limit_bytes // _MIB} MiB, {result.true_max}"
        for tool, found in result.found.items():
            table.add_row(heading, tool, *_figures(result, tool, found))
            heading = ""
        table.add_section()
    return table


def _figures(result: ModelResult, tool: str, found: Found) -> tuple[str, ...]:
    ratio = result.ratio(tool)
    verdict = "none" if ratio is None else f"{ratio:.3f}"
    if ratio is not None and not result.fits(tool):
        verdict += " does not fit"
    return (
        "none" if found.batch_size is None else str(found.batch_size),
        verdict,
        str(len(found.sizes_tried)),
        str(found.run_count),
        f"{found.samples:,}",
        str(found.out_of_memory_count),
        f"{found.search_s:.2f}",
    )


def summary_table(summaries: Mapping[str, ToolSummary], model_count: int) -> Table:
    """Return one row a tool."""
    table = Table(
        title="Over all models. Leads, of the peers whose size fits: over the one that returned "
        "the largest size / over the cheapest, however small its size"
    )
    table.add_column("tool")
    for title in (
        "fits", "of true, lowest", "mean", "out of memory", "samples", "seconds",
        "times fewer samples", "times less time", "worst peak error",
    ):  # fmt: skip
        table.add_column(title, justify="right")
    for tool, one in summaries.items():
        table.add_row(
            tool,
            f"{one.fit_count} of {model_count}",
            _number(one.lowest_ratio, ".3f"),
            _number(one.mean_ratio, ".3f"),
            str(one.out_of_memory_count),
            f"{one.samples:,}",
            f"{one.search_s:.1f}",
            _lead(one.fewer_samples),
            _lead(one.less_time),
            _number(one.worst_peak_error, "+.2%"),
        )
    return table


def _lead(lead: Lead) -> str:
    return f"{_number(lead.over_best, '.3g')} / {_number(lead.over_cheapest, '.3g')}"


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)
