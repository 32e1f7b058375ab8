"""The measurement of the planner's cost: long logs that a planner reads, and honest counts."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

from bsadvise.model.commands import Train
from bsadvise.model.measurements import TrainRun
from rich.console import Console

from benchmarks.planner_cost import COUNTED, RESULTS, counting, document, long_log, measure, table
from tests.support.builders import a_device, a_request

REQUEST, DEVICE, LENGTH = a_request(memory_limit_bytes=1 << 30, budget_s=200.0), a_device(), 40


def test_a_log_is_as_long_as_it_should_be_and_was_all_measured() -> None:
    log = long_log(REQUEST, DEVICE, LENGTH)
    assert len(log) == LENGTH
    assert isinstance(log[-1].outcome, TrainRun)
    trials = [e.command.trial for e in log if isinstance(e.command, Train) and e.command.trial]
    assert trials == sorted(trials)
    assert len(set(trials)) > 4
    assert sum(entry.wall_s for entry in log) < REQUEST.budget_s


def test_every_value_that_is_built_is_counted_and_nothing_stays_patched() -> None:
    @dataclass(frozen=True)
    class Value:
        number: int

    with counting([Value]) as counts:
        assert [Value(1).number, Value(number=2).number] == [1, 2]
    Value(3)
    assert counts == {"Value": 2}


def test_a_cost_is_printed_and_written_down() -> None:
    log = long_log(REQUEST, DEVICE, LENGTH)
    costs = [measure(REQUEST, DEVICE, log[:length], repeats=1) for length in (30, LENGTH)]
    assert all(cost.median_ms > 0 for cost in costs)
    assert all(min(cost.built_counts.values()) >= 1 for cost in costs)
    file = io.StringIO()
    Console(width=120, file=file).print(table(costs))
    assert all(cls.__name__ in file.getvalue() for cls in COUNTED)
    assert document(costs).keys() == json.loads(RESULTS.read_text(encoding="utf-8")).keys()
