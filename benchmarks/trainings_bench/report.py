"""The tables, in Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from benchmarks.trainings_bench.judging import CAP
from benchmarks.trainings_bench.methods import METHODS, OURS
from benchmarks.trainings_bench.results import Judged, Result, read_result
from benchmarks.trainings_bench.times import SLOWDOWN
from benchmarks.trainings_bench.workloads import Workload

_MADE = """\
Made by `python -m benchmarks.trainings report`. Steps were timed on {machines}, and are modelled \
{slowdown:g} times slower."""

_METHOD = """\
Geometric mean / worst of the workloads and schedules, at most {cap:g} each; a training that \
diverged, and no answer, count as that. The cost is that of the search over the training with the \
file's recipe, in modelled seconds of training and evaluation."""


def report(workloads: Sequence[Workload], schedules: Sequence[str]) -> str:
    """Return the tables of what was compared so far."""
    read = (read_result(one, schedule) for one in workloads for schedule in schedules)
    results = [result for result in read if result is not None]
    machines = "; ".join(sorted({one.machine for one in results}))
    parts = [
        "# Trainings of a stated length: the advice against the best of a grid",
        _MADE.format(machines=machines, slowdown=SLOWDOWN),
        _workloads_table(results),
        "## Time at an equal final loss, over the oracle's",
        _METHOD.format(cap=CAP),
        _summary_table(results),
        *(_answers_part(result) for result in results),
    ]
    return "\n\n".join(parts) + "\n"


def _workloads_table(results: Sequence[Result]) -> str:
    rows = [
        (
            f"{one.workload.name}, {one.schedule}",
            one.workload.kind,
            "judge" if one.workload.is_judge else "may be tuned on",
            f"{one.training_s:.0f} s",
            f"{one.training_count}{'' if one.is_complete else ', not all'}",
            f"{one.oracle.batch_size} at {one.oracle.learning_rate:g}",
            f"{one.lowest.batch_size} at {one.lowest.learning_rate:g}: {one.lowest_loss:.4g}",
            f"{one.seed_factor:.2f}",
        )
        for one in results
    ]
    headings = (
        "training",
        "what",
        "role",
        "with the recipe",
        "grid",
        "oracle",
        "lowest loss",
        "time between two seeds",
    )
    return _table(headings, rows)


def _summary_table(results: Sequence[Result]) -> str:
    rows = []
    for name, entry in METHODS.items():
        for share in entry.shares:
            judged = {
                is_judge: _of(results, name, share, is_judge=is_judge) for is_judge in (True, False)
            }
            every = [*judged[True], *judged[False]]
            if every:
                rows.append(
                    (
                        entry.title,
                        _share(share),
                        _percent(statistics.fmean(one.cost_share for one in every)),
                        _mean_and_worst(judged[True]),
                        _mean_and_worst(judged[False]),
                        f"{sum(math.isinf(one.loss) for one in every)} of {len(every)}",
                        _coverage(every) if name == OURS else "",
                    )
                )
    headings = (
        "method",
        "allowed",
        "cost",
        "judges",
        "may be tuned on",
        "diverged or none",
        "80 % intervals of the final loss that hold",
    )
    return _table(headings, rows)


def _answers_part(result: Result) -> str:
    rows = [
        (
            METHODS[one.case.method].title,
            _share(one.case.share),
            str(one.case.seed),
            _setting(one),
            f"{one.loss:.4g}",
            f"{one.time_ratio:.2f}",
            f"{one.loss_gap:.2f}",
            _percent(one.cost_share),
            _said(one),
            one.answer.note,
        )
        for one in result.judged
    ]
    headings = (
        "method",
        "allowed",
        "seed",
        "answer",
        "final loss",
        "time",
        "gap/spread",
        "cost",
        "loss as said",
        "remarks",
    )
    return f"## {result.workload.name}, {result.schedule}\n\n" + _table(headings, rows)


def _of(
    results: Iterable[Result], method: str, share: float | None, *, is_judge: bool
) -> list[Judged]:
    return [
        one
        for result in results
        if result.workload.is_judge == is_judge
        for one in result.judged
        if (one.case.method, one.case.share) == (method, share)
    ]


def _mean_and_worst(judged: Sequence[Judged]) -> str:
    ratios = [one.time_ratio for one in judged]
    return f"{statistics.geometric_mean(ratios):.2f} / {max(ratios):.2f}" if ratios else ""


def _coverage(judged: Sequence[Judged]) -> str:
    said = [one.is_loss_in_interval for one in judged if one.is_loss_in_interval is not None]
    return f"{sum(said)} of {len(said)}"


def _setting(one: Judged) -> str:
    setting = one.answer.setting
    return "none" if setting is None else f"{setting.batch_size} at {setting.learning_rate:.3g}"


def _said(one: Judged) -> str:
    said = one.answer.final_loss
    return "" if said is None else f"{said.value:.4g} ({said.low:.4g} to {said.high:.4g})"


def _share(share: float | None) -> str:
    return "" if share is None else _percent(share)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (headings, ["---"] * len(headings), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
