"""Time of one call of the planner by length of the log: ``python -m benchmarks.planner_cost``.

The logs are of a search on a simulated device, extended by trials spread over the space of
settings, each of two rungs. The median is over calls with a new planner each; one further call
counts how many of the values derived from the log are built.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Train, TrialOrigin
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest
from rich.console import Console
from rich.table import Table

from advisor.planning.evidence.step import Commands, Plan, Planner
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.trials import Trial
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice

RESULTS = Path(__file__).parent / "results" / "planner_cost.json"
LENGTHS = (50, 100, 200, 400)
REPEATS = 7

COUNTED: tuple[type, ...] = (MemoryModel, StepCost, RungSchedule, Trial)

_BUDGET_S = 1200.0
_TRIALS_SHARE = 0.5
"""Of the budget, for the longest log: time is left, so the planner considers further trials."""
_SMALLEST_BATCH_SIZE, _BATCH_DOUBLINGS = 16, 5.0
_SMALLEST_RATE, _RATE_DOUBLINGS = 2.5e-4, 6.0
_STRIDES = (0.7548776662466927, 0.5698402909980532)
"""Of a Kronecker sequence: settings are spread evenly over the square, for any number of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a call.

    Attributes:
        measurement_count: Length of the log.
        step: What the planner returned: the class of a command, or Advice.
        median_ms: Milliseconds of a call.
        built_counts: How many values of each of COUNTED one call builds.
    """

    measurement_count: int
    step: str
    median_ms: float
    built_counts: dict[str, int]


def main() -> int:
    """Measure, print, save, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    request, device = a_request(memory_limit_bytes=1 << 30, budget_s=_BUDGET_S), a_device()
    log = long_log(request, device, max(arguments.lengths))
    costs = [
        measure(request, device, log[:length], arguments.repeats) for length in arguments.lengths
    ]
    Console(width=120).print(table(costs))
    output: Path = arguments.output
    output.write_text(json.dumps(document(costs), indent=1) + "\n", encoding="utf-8")
    return 0


def ask(request: AdviceRequest, device: Device, log: Log) -> Plan:
    """Return what a new planner says, which knows nothing of earlier calls."""
    planner = RecommendationPlanner(OptunaProposer())
    return planner.plan(planner.read(request, (device,), log))


def measure(request: AdviceRequest, device: Device, log: Log, repeats: int) -> Cost:
    """Return the cost of a call with this log."""
    plan = ask(request, device, log)
    times_s = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        ask(request, device, log)
        times_s.append(time.perf_counter() - begun_s)
    with counting(COUNTED) as counts:
        ask(request, device, log)
    return Cost(
        measurement_count=len(log),
        step=type(plan.commands[0] if isinstance(plan, Commands) else plan).__name__,
        median_ms=round(1e3 * statistics.median(times_s), 1),
        built_counts={cls.__name__: counts[cls.__name__] for cls in COUNTED},
    )


@contextmanager
def counting(classes: Sequence[type]) -> Iterator[Counter[str]]:
    """Count the values that are built of some classes, by the classes' names."""
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        for cls in classes:
            stack.enter_context(patch.object(cls, "__init__", _counted(cls, counts)))
        yield counts


def _counted(cls: type, counts: Counter[str]) -> Any:  # noqa: ANN401 - a constructor of any class
    construct: Any = vars(cls)["__init__"]

    def construct_and_count(*arguments: Any, **named: Any) -> None:  # noqa: ANN401 - likewise
        counts[cls.__name__] += 1
        construct(*arguments, **named)

    return construct_and_count


def long_log(
    request: AdviceRequest,
    device: Device,
    length: int,
    simulated: SimulatedDevice | None = None,
) -> Log:
    """Return the log of a search with more settings than a planner would try."""
    simulated = simulated or SimulatedDevice()
    planner = RecommendationPlanner(OptunaProposer())
    log, first = _begun(request, device, simulated, planner)
    duration_s = _TRIALS_SHARE * request.budget_s / length
    for number in count(1):
        for command in _trainings(first, number, duration_s, simulated):
            if len(log) == length:
                return log
            log += (simulated.measure(command),)
    raise AssertionError("counting does not end")


def _begun(
    request: AdviceRequest, device: Device, simulated: SimulatedDevice, planner: Planner
) -> tuple[Log, Train]:
    """Return the log of a search up to its first trial after the reference, and that trial."""
    log: Log = ()
    while True:
        plan = planner.plan(planner.read(request, (device,), log))
        if isinstance(plan, Advice | Refusal):
            raise SystemExit(f"the search ended before it tried anything: {plan}")
        (command,) = plan.commands
        if isinstance(command, Train) and command.trial:
            return log, command
        log += (simulated.measure(command),)


def _trainings(
    first: Train, number: int, duration_s: float, simulated: SimulatedDevice
) -> Iterator[Train]:
    """Yield the two trainings of a trial, made after the planner's first."""
    along, across = (number * stride % 1 for stride in _STRIDES)
    size = round(_SMALLEST_BATCH_SIZE * 2 ** (_BATCH_DOUBLINGS * along))
    steps = max(8, round(duration_s / simulated.step_time_s(size)))
    for rung in range(2):
        yield replace(
            first,
            micro_batch_size=size,
            accumulation_steps=1,
            learning_rate=_SMALLEST_RATE * 2 ** (_RATE_DOUBLINGS * across),
            step_count=steps,
            evaluation_steps=tuple(sorted({steps // 8, steps // 4, steps // 2} - {0})),
            first_sample=rung * steps * size,
            start_checkpoint=f"trial-{number}-rung-0" if rung else None,
            save_checkpoint=f"trial-{number}-rung-{rung}",
            trial=number,
            rung=rung,
            origin=TrialOrigin.SAMPLER,
        )


def table(costs: Sequence[Cost]) -> Table:
    """Return one row for each length."""
    result = Table(title="One call of the planner")
    for heading in ("log", "milliseconds, median", *(cls.__name__ for cls in COUNTED)):
        result.add_column(heading, justify="right")
    result.add_column("returned")
    for cost in costs:
        built = (str(cost.built_counts[cls.__name__]) for cls in COUNTED)
        result.add_row(str(cost.measurement_count), f"{cost.median_ms:.1f}", *built, cost.step)
    return result


def document(costs: Sequence[Cost]) -> dict[str, object]:
    """Return the content of the JSON file."""
    lengths, times = zip(*((one.measurement_count, one.median_ms) for one in costs), strict=True)
    return {
        "command": "python -m benchmarks.planner_cost",
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "optuna": optuna.__version__,
        },
        "growth_exponent": _growth_exponent(lengths, times),
        "costs": [
            {
                "measurement_count": one.measurement_count,
                "median_ms": one.median_ms,
                "built_counts": one.built_counts,
                "step": one.step,
            }
            for one in costs
        ],
    }


def _growth_exponent(lengths: Sequence[int], times: Sequence[float]) -> float | None:
    """Return p where the time grows as the length to the p; 1 is linear."""
    if lengths[0] == lengths[-1] or min(times) <= 0:
        return None
    return round(math.log(times[-1] / times[0]) / math.log(lengths[-1] / lengths[0]), 2)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planner_cost", description=__doc__)
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS), metavar="N")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
