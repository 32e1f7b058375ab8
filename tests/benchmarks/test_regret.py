"""The regret benchmark's pure parts: target, oracle, stored results, summary and report."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.regret_bench.answers import (
    SHARES,
    Case,
    add_answer,
    forget_answers,
    read_answers,
)
from benchmarks.regret_bench.compare import Contest
from benchmarks.regret_bench.found import Found, Setting
from benchmarks.regret_bench.json_lines import append_line
from benchmarks.regret_bench.methods import METHODS, OURS
from benchmarks.regret_bench.recording import Recording, Run
from benchmarks.regret_bench.report import document
from benchmarks.regret_bench.results import Judged, Result
from benchmarks.regret_bench.sampling import rung_steps
from benchmarks.regret_bench.summary import Regret, cover, merit, regret, summarise
from benchmarks.regret_bench.table import (
    closing_lines,
    frontier_table,
    regrets_table,
    workloads_table,
)
from benchmarks.regret_bench.target import (
    CAP,
    Oracle,
    find_leaders,
    grid_times_s,
    median_s,
    recorded_seeds,
    reference_setting,
    target_loss,
)
from benchmarks.regret_bench.times_to_target import TimesToTarget

REFERENCE, BETTER, DIVERGED = Setting(8, 0.01), Setting(16, 0.04), Setting(16, 4.0)


def a_run(setting: Setting, losses: Sequence[float], seed: int = 0) -> Run:
    """Return a run that was evaluated after 10, 20, 30, … steps."""
    steps = tuple(10 * (index + 1) for index in range(len(losses)))
    return Run(*setting, seed, steps, tuple(losses))


def a_recording(runs: Iterable[Run] = (), **changes: Any) -> Recording:
    """Return a recording of 80 steps of 0.1 s by default."""
    fields: dict[str, Any] = {
        "workload": "made_up",
        "command": "none",
        "machine": "none",
        "recorded_s": 8.0,
        "family": "sgd",
        "dataset_size": 4000,
        "evaluation_size": 100,
        "reference_batch_size": 8,
        "reference_learning_rate": 0.01,
        "initial_loss": 4.0,
        "load_time_per_sample_s": 0.0,
        "evaluation_s": 0.01,
        "optimizer_s": 0.001,
        "step_times_s": {8: 0.1, 16: 0.1},
        "runs": tuple(runs),
    }
    return Recording(**fields | changes)


def a_grid() -> Recording:
    """Return three settings with two seeds: the reference takes four times as long as another."""
    curve = [3.0, 2.0, 2.0, 2.0, 1.9, 1.8, 1.7, 1.6]
    runs = [a_run(REFERENCE, curve, seed) for seed in (0, 1)]
    runs += [a_run(BETTER, [2.0, 1.5], seed) for seed in (0, 1)]
    runs += [a_run(DIVERGED, [], seed) for seed in (0, 1)]
    return a_recording(runs)


def a_result(workload: str = "made_up", *, is_held_out: bool = False, **times_s: Any) -> Result:
    """Return searches with seeds 0, 1, 2: the oracle takes 1 s, the reference 3 s."""
    judged = [
        Judged(
            method=method,
            seed=seed,
            share=None,
            found=Found(setting=BETTER, cost_s=10.0, speedup=2.0, speedup_interval=(1.5, 3.0)),
            time_s=time_s,
        )
        for method, by_seed in times_s.items()
        for seed, time_s in enumerate(by_seed)
    ]
    return Result(
        workload=workload,
        is_held_out=is_held_out,
        grid_size=3,
        grid_seeds=(0, 1, 2),
        target_loss=2.0,
        oracle=BETTER,
        oracle_times_s=dict.fromkeys(range(3), 1.0),
        hindsight=Oracle(REFERENCE, 0.8),
        reference_times_s=dict.fromkeys(range(3), 3.0),
        judged=tuple(judged),
    )


def test_the_target_is_the_loss_of_the_reference_at_half_its_time() -> None:
    assert target_loss(a_grid()) == 2.0
    rounded = replace(a_grid(), reference_learning_rate=0.0100049)
    assert target_loss(rounded) == 2.0, "the grid's rates are rounded"
    with pytest.raises(LookupError, match="not recorded"):
        target_loss(replace(a_grid(), reference_learning_rate=0.02))


def test_a_setting_that_was_not_trained_with_every_seed_is_no_oracle() -> None:
    grid = a_grid().with_run(a_run(REFERENCE, [3.0, 2.0, 2.0, 2.0], seed=2))
    assert recorded_seeds(grid) == (0, 1, 2)
    assert list(grid_times_s(grid, 2.0)) == [REFERENCE]


def test_the_oracle_is_the_setting_that_reaches_the_target_first() -> None:
    oracle, *_ = find_leaders(a_grid(), 2.0)
    assert oracle.setting == BETTER
    assert oracle.time_s == pytest.approx(1.0)
    assert oracle.cap_s == pytest.approx(CAP)
    times_s = grid_times_s(a_grid(), 2.0)
    assert times_s[REFERENCE] == pytest.approx(4.0)
    assert times_s[DIVERGED] is None
    assert [leader.setting for leader in find_leaders(a_grid(), 2.0)] == [BETTER, REFERENCE]
    with pytest.raises(LookupError, match="no setting reached"):
        find_leaders(a_grid(), 0.1)


def test_the_first_step_can_be_evaluated() -> None:
    run = Run(8, 0.01, 0, (1, 2), (3.0, 1.0))
    assert a_recording().time_to(run, 2.0) == pytest.approx(0.2)
    assert a_recording().time_to(run, 3.5) == pytest.approx(0.1, rel=0.01)


@given(st.lists(st.none() | st.floats(0.1, 100), min_size=1, max_size=7))
def test_a_median_is_reached_when_most_are(times_s: list[float | None]) -> None:
    median = median_s(times_s)
    reached = sorted(time_s for time_s in times_s if time_s is not None)
    assert (median is not None) == (2 * len(reached) > len(times_s))
    if median is not None:
        assert sum(time_s <= median for time_s in reached) >= len(times_s) / 2


@given(st.floats(0.01, 1e6))
def test_rungs_rise_and_end_at_the_horizon(steps: float) -> None:
    rungs = rung_steps(steps)
    assert list(rungs) == sorted(rungs)
    assert list(rungs.values()) == sorted(set(rungs.values()))
    assert rungs[3] == max(1, round(steps))
    assert min(rungs.values()) >= 1


def _remember(path: Path, run: Run, *, diverged: bool = False) -> TimesToTarget:
    fields = {
        "batch_size": run.batch_size,
        "learning_rate": run.learning_rate,
        "seed": run.seed,
        "steps": run.steps,
        "losses": run.losses,
    }
    append_line(path, fields | {"diverged": diverged})
    return TimesToTarget(path, a_recording(), target_loss=2.0)


def test_what_was_trained_is_remembered_as_a_curve(tmp_path: Path) -> None:
    times_to_target = _remember(tmp_path / "lines", a_run(BETTER, [3.0, 1.0]))
    assert times_to_target.time_s(BETTER, 0, within_s=8.0) == pytest.approx(2.0)
    assert times_to_target.time_s(BETTER, 0, within_s=1.5) is None, "it took longer than that"
    with pytest.raises(LookupError):
        times_to_target.time_s(BETTER, 1, within_s=8.0)
    lower = TimesToTarget(tmp_path / "lines", a_recording(), target_loss=1.0)
    assert lower.time_s(BETTER, 0, within_s=2.0) is None
    assert not lower.is_known(BETTER, 0, within_s=8.0), "another target asks for more"


def test_what_diverged_needs_no_more_training(tmp_path: Path) -> None:
    times_to_target = _remember(tmp_path / "lines", a_run(DIVERGED, []), diverged=True)
    assert times_to_target.time_s(DIVERGED, 0, within_s=1e9) is None


def test_answers_are_remembered_by_what_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "answers" / "made_up.jsonl"
    ours, theirs = Case(OURS, 0, 0.5, 1.25, 2.0), Case("random", 0, None, None, None)
    found = Found(setting=BETTER, cost_s=0.1 + 0.2, speedup=2.0, speedup_interval=(1.0, 3.0))
    add_answer(path, ours, found)
    add_answer(path, theirs, Found(setting=None, note="none"))
    assert read_answers(path) == {ours: found, theirs: Found(setting=None, note="none")}
    assert replace(ours, target_loss=1.9) not in read_answers(path)
    forget_answers(path, [OURS], [None, 1.0])
    assert list(read_answers(path)) == [ours, theirs]
    forget_answers(path, [OURS, "random"], [0.5])
    assert list(read_answers(path)) == [theirs]
    forget_answers(tmp_path / "none", [OURS], [0.5])


def test_methods_with_a_frontier_are_asked_at_every_cost_with_every_seed() -> None:
    cases = list(Contest(a_grid()).cases([OURS, "reference"], [0, 1]))
    assert len(cases) == len(set(cases)) == 2 * (1 + len(SHARES) + 1)
    assert {case.target_loss for case in cases if case.method == OURS} == {2.0}
    assert {case.target_loss for case in cases if case.method == "reference"} == {None}
    assert [case.allowed_s for case in cases[:5]] == pytest.approx([None, 0.25, 0.5, 1, 2])


def test_only_the_reference_is_trained_past_the_cap() -> None:
    contest = Contest(replace(a_grid(), recorded_s=8.2))
    assert contest.within_s(BETTER) == pytest.approx(CAP)
    assert contest.within_s(reference_setting(contest.recording)) == 8.2


def test_a_ratio_is_of_medians_and_ends_at_the_cap() -> None:
    result = a_result(bsadvise=[1.1, 1.3, 1.2], habit=[None, 2.0, None], share=[None, 2.0, 1.5])
    assert result.ratio(OURS) == pytest.approx(1.2)
    assert result.ratio("habit") == CAP
    assert result.ratio("share") == pytest.approx(2.0)
    assert result.ratio("random") is None
    assert result.cost(OURS) == pytest.approx(10.0)
    assert result.reached("habit") == (1, 3)
    assert a_result(reference=[99.0] * 3).ratio("reference") == CAP


def test_regret_is_a_geometric_mean_and_names_the_worst() -> None:
    one = regret([a_result("a", bsadvise=[1.0] * 3), a_result("b", bsadvise=[4.0] * 3)], OURS)
    assert one is not None
    assert one.mean == pytest.approx(2)
    assert (one.worst, one.worst_workload) == (4.0, "b")
    assert (one.workload_count, one.reached_count, one.answer_count) == (2, 6, 6)
    assert regret([a_result()], OURS) is None


def test_tuned_and_held_out_workloads_are_separate() -> None:
    tuned = a_result("a", bsadvise=[1.0] * 3, habit=[0.9] * 3)
    held_out = a_result("b", is_held_out=True, bsadvise=[2.0] * 3, habit=[3.0] * 3)
    summary = summarise([tuned, held_out])
    assert summary.tuned[OURS].mean == pytest.approx(1)
    assert summary.held_out[OURS].mean == pytest.approx(2)
    assert summary.behind == (("a", "habit"),)


def a_regret(mean: float) -> Regret:
    return Regret(
        workload_count=1, mean=mean, worst=mean, worst_workload="a", mean_cost=None,
        reached_count=1, answer_count=1,
    )  # fmt: skip


def test_the_merit_is_the_cost_from_which_on_regret_stays_small() -> None:
    by_cost = {0.25: a_regret(1.1), 0.5: a_regret(1.3), 1.0: a_regret(1.2), 2.0: a_regret(1.0)}
    assert merit(by_cost) == 1.0, "a single low mean at a lower cost does not count"
    assert merit(by_cost | {2.0: a_regret(1.21)}) is None
    assert merit({}) is None


def test_coverage_counts_intervals_whose_truth_is_known() -> None:
    # The truth is 3 s over the time: 2, 6 and unknown, against 1.5 to 3.
    result = a_result(bsadvise=[1.5, 0.5, None])
    silent = replace(result.judged[0], found=Found(setting=BETTER))
    itself = replace(
        result.judged[0], found=Found(setting=BETTER, speedup_interval=(1.0, 1.0)), time_s=3.0
    )
    found = cover([replace(result, judged=(*result.judged, silent, itself))])
    assert (found.held_count, found.counted_count) == (2, 3)
    assert (found.same_count, found.silent_count, found.unknown_count) == (1, 1, 1)
    assert cover([]).share is None


@pytest.fixture
def results() -> list[Result]:
    """Two workloads; ours and random search at every cost."""
    found = []
    for name, is_held_out in (("made_up", False), ("other", True)):
        result = a_result(
            name, is_held_out=is_held_out, bsadvise=[1.2] * 3, reference=[3.0] * 3,
            lightning=[None] * 3,
        )  # fmt: skip
        extra = [
            replace(one, method=method, share=share, time_s=factor / share)
            for one in result.of(OURS)
            for method, factor in ((OURS, 1.0), ("random", 3.0))
            for share in SHARES
        ]
        found.append(replace(result, judged=(*result.judged, *extra)))
    return found


def test_the_report_lists_every_method_and_targets_that_were_not_reached(
    results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    summary = summarise(results)
    text = io.StringIO()
    console = Console(file=text, width=200)
    for table in (workloads_table(results), regrets_table(summary), frontier_table(summary)):
        console.print(table)
    assert "other (held out)" in text.getvalue()
    assert text.getvalue().count("8+") >= 4
    assert all(METHODS[name].title in text.getvalue() for name in METHODS)
    held, hindsight, *_ = closing_lines(summary)
    assert "contained the true speedup: 6 of 6 (100%)" in held
    assert "takes 0.80 of the oracle's time" in hindsight
    assert "1.25 times as large" in hindsight
    read = json.loads(json.dumps(document(results, summary)))
    assert read["results"][0]["ratios"][0]["over_oracle"] == pytest.approx(1.2)
    assert read["summary"]["frontier"]["random"]["2.0"]["mean"] == pytest.approx(1.5)


@pytest.mark.filterwarnings("ignore")
def test_the_plot_is_drawn(results: list[Result], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.regret_bench.plot import draw  # noqa: PLC0415

    draw(results, summarise(results), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
