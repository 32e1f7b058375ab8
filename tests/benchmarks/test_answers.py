"""The answers on recorded curves are those that are written down, and a change of one is named."""

from __future__ import annotations

import io

from rich.console import Console

from benchmarks.answers import answer, changed, read_answers, table
from benchmarks.regret_bench.answers import COSTS
from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.workloads import WORKLOADS

QUICK = "digits_cnn", 0.5


def test_an_answer_is_the_one_that_is_written_down() -> None:
    name, cost = QUICK
    now = answer(Surface(read_recording(path_of(name))), cost)
    assert not changed(read_answers(), [now])


def test_every_workload_is_answered_at_every_cost() -> None:
    known = [(one["workload"], one["cost_over_oracle"]) for one in read_answers()]
    assert sorted(known, key=str) == sorted(
        ((workload.name, cost) for workload in WORKLOADS for cost in COSTS), key=str
    )


def test_a_change_says_what_was_and_what_is() -> None:
    old = read_answers()
    new = [old[0] | {"effective_batch_size": 7}, *old[1:]]
    was = old[0]["effective_batch_size"]
    assert changed(old, new) == [f"digits_mlp, default: effective_batch_size: {was} -> 7"]
    assert len(changed([], [old[0]])) == sum(value is not None for value in old[0].values())


def test_the_table_has_a_row_for_each_answer() -> None:
    console = Console(width=120, file=io.StringIO())
    console.print(table(read_answers()))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("digits_mlp") == len(COSTS)
    assert "0.25x" in text
