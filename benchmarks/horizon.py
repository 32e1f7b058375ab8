"""Does a search of 1 or 5 % of a training name the batch size and peak rate of all of it?

``python -m benchmarks.horizon`` asks the horizon law for the setting of each table's long horizons,
from what a search could see of shorter ones, and prints what the answer costs in samples: the
factor that the table's best setting saves at an equal final loss; with ``--step-time`` in seconds.
``--table FILE.csv`` adds a table; see ``benchmarks.horizon_bench.tables`` for its columns.

Cases that results/horizon/cases.jsonl has for the same table and sources are not computed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from advisor.estimators.horizon_advice import interval_of
from advisor.estimators.horizon_tuning import HorizonTuning
from benchmarks.horizon_bench.growth import growth_rows
from benchmarks.horizon_bench.schedules import rate_rows, summary
from benchmarks.horizon_bench.searching import (
    FREE,
    METHODS,
    Case,
    StepTime,
    advised,
    plan_within,
    searched,
    whole_rung,
)
from benchmarks.horizon_bench.tables import Grid, read_table
from benchmarks.regret_bench.json_lines import append_line, keep_lines, read_lines

_ROOT = Path(__file__).parents[1]
DATA = _ROOT / "benchmarks" / "data" / "horizon"
RESULTS = _ROOT / "benchmarks" / "results" / "horizon.json"
CASES = RESULTS.with_suffix("") / "cases.jsonl"

TUNED_ON = ("dense_215M", "dense_429M", "letters")
"""Models whose tables the tuned numbers were chosen on; the others judge them."""

SHARES = (0.01, 0.05)
COUNT = 8
"""Trainings of a search that stays on one horizon."""

STARTS = (0.25, 1.0, 4.0)
"""Factors by which recipes that searches begin from are off the middle of a table."""

_RATES_TABLE = "lr_scheduling.csv"
_GROWTH_TABLE = "critical_batch.csv"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One grid, one pair of horizons, and one way of seeing the shorter."""

    table: str
    grid: Grid
    revealed: str
    samples: float
    rung: float | None = None
    off: float = 1.0
    times: StepTime = FREE

    @property
    def key(self) -> dict[str, Any]:
        """What names the job in the file of cases."""
        return {
            "table": self.table,
            "model": self.grid.model,
            "schedule": self.grid.schedule,
            "revealed": self.revealed,
            "samples": self.samples,
            "rung": self.rung,
            "start": self.off,
            "step_time": [self.times.fixed_s, self.times.samples_per_s],
        }

    def case(self) -> Case:
        """Return what is asked, with what is seen."""
        if self.rung is None:
            share = float(self.revealed.removesuffix(" %")) / 100
            plan = plan_within(self.grid, self.samples, share)
        elif self.revealed == "whole rung":
            return whole_rung(self.grid, self.rung, self.samples, self.times)
        else:
            plan = ((self.rung, COUNT),)
        return searched(self.grid, plan, self.samples, self.off, self.times)


def jobs_of(table: str, grid: Grid, times: StepTime) -> Iterator[Job]:
    """Yield what a grid is asked: pairs of its horizons, and shares of its longest."""
    longest = grid.horizons[-1]
    whole = Job(table=table, grid=grid, revealed="whole rung", samples=longest, times=times)
    for place, rung in enumerate(grid.horizons):
        for samples in grid.horizons[place + 1 :]:
            pair = replace(whole, samples=samples, rung=rung)
            yield pair
            for off in STARTS:
                yield replace(pair, revealed=f"{COUNT} trainings of a rung", off=off)
    for share in SHARES:
        if plan_within(grid, longest, share):
            for off in STARTS:
                yield replace(whole, revealed=f"{100 * share:g} %", off=off)


def result_of(job: Job) -> dict[str, Any]:
    """Return what each method's answer costs, as a logarithm."""
    case = job.case()
    setting = advised(case)
    settings = {name: method(case, setting) for name, method in METHODS.items()}
    interval, best = interval_of(setting.best_batch_size), case.grid.best(case.samples)
    return job.key | {
        "share": case.share,
        "carried": case.carried,
        "setting": settings["law"],
        "is_best_batch_in_interval": interval.low <= best[0] <= interval.high,
        "log_costs": {name: case.log_cost(setting) for name, setting in settings.items()},
    }


def main() -> int:
    """Compute what is missing, print, save, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    times = arguments.step_time
    paths = [DATA / "letters.csv", DATA / "classes.csv", *arguments.table]
    tables = {path.stem: read_table(path) for path in paths}
    digests = {path.stem: _digest([path, *_sources()]) for path in paths}
    keep_lines(CASES, lambda row: row["digest"] == digests.get(row["key"]["table"], row["digest"]))
    known = {json.dumps(row["key"]): row["result"] for row in read_lines(CASES)}
    jobs = [job for name, grids in tables.items() for g in grids for job in jobs_of(name, g, times)]
    missing = [job for job in jobs if json.dumps(job.key) not in known]
    with ProcessPoolExecutor(arguments.processes) as pool:
        for job, result in zip(missing, pool.map(result_of, missing), strict=True):
            if times == FREE:
                append_line(CASES, {"digest": digests[job.table], "key": job.key, "result": result})
            known[json.dumps(job.key)] = result
    rows = summarised([known[json.dumps(job.key)] for job in jobs])
    rates = read_table(DATA / _RATES_TABLE)
    named = [
        {"start": off, "revealed": label} | summary(found)
        for off in STARTS
        for label, found in _by(list(rate_rows(rates, off)), "revealed").items()
    ]
    growth = list(growth_rows(DATA / _GROWTH_TABLE, HorizonTuning()))
    console = Console(width=160)
    console.print(_printed("Cost over the table's best", rows))
    console.print(_printed("Peak rates for named schedules (lr_scheduling)", named))
    console.print(_printed("Growth of the critical batch size (critical_batch)", growth))
    if times == FREE:
        document = {
            "command": "python -m benchmarks.horizon "
            + " ".join(f"--table {path.name}" for path in arguments.table),
            "tables": {path.stem: _digest([path]) for path in paths},
            "tuned_on": TUNED_ON,
            "costs": rows,
            "peak_rates": named,
            "critical_batch_growth": growth,
        }
        RESULTS.write_text(json.dumps(_rounded(document), indent=1) + "\n", encoding="utf-8")
    return 0


def summarised(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each table, role and way of seeing it: mean and worst cost by method."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in results:
        role = "tuned on" if one["model"] in TUNED_ON else "judge"
        groups.setdefault((one["table"], role, one["revealed"]), []).append(one)
    return [
        {
            "table": table,
            "role": role,
            "revealed": revealed,
            "cases": len(group),
            "search_over_training": statistics.geometric_mean(one["share"] for one in group),
            "carried": statistics.geometric_mean(one["carried"] for one in group),
            "interval_share": statistics.fmean(one["is_best_batch_in_interval"] for one in group),
        }
        | {name: _mean_and_worst([one["log_costs"][name] for one in group]) for name in METHODS}
        for (table, role, revealed), group in sorted(groups.items())
    ]


def _mean_and_worst(logs: Sequence[float]) -> list[float]:
    return [math.exp(statistics.fmean(logs)), math.exp(max(logs))]


def _by(rows: Sequence[dict[str, Any]], column: str) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def _rounded(value: object) -> object:
    """Return the value with its numbers to four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _printed(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    result = Table(title=title)
    for name in rows[0]:
        result.add_column(name)
    for row in rows:
        result.add_row(*(_text(value) for value in row.values()))
    return result


def _text(value: object) -> str:
    if isinstance(value, list):
        return " / ".join(f"{one:.2f}" for one in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _sources() -> list[Path]:
    """Return the files that a case's result depends on, its table aside."""
    ours = (_ROOT / "benchmarks" / "horizon_bench").glob("*.py")
    return sorted([*(_ROOT / "advisor" / "estimators").glob("horizon_*.py"), *ours])


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.horizon", description=__doc__)
    parser.add_argument("--table", type=Path, action="append", default=[], metavar="FILE.csv")
    parser.add_argument(
        "--step-time",
        type=_step_time,
        default=FREE,
        metavar="T0,R",
        help="judge by seconds: T0 for a small step, R samples per second of a large one; nothing "
        "is saved then",
    )
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    return parser.parse_args(arguments)


def _step_time(text: str) -> StepTime:
    fixed_s, samples_per_s = (float(part) for part in text.split(","))
    if not (fixed_s > 0 and samples_per_s > 0):
        raise ValueError("both must be above 0")
    return StepTime(fixed_s=fixed_s, samples_per_s=samples_per_s)


if __name__ == "__main__":
    sys.exit(main())
