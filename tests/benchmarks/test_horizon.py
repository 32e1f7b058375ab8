"""The benchmark of long horizons: tables are read, costs are samples, plans keep to their share."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.horizon import DATA, Job, jobs_of, result_of, summarised
from benchmarks.horizon_bench.growth import critical_batch
from benchmarks.horizon_bench.record import losses_of
from benchmarks.horizon_bench.schedules import best_rate
from benchmarks.horizon_bench.searching import FREE, METHODS, StepTime, plan_within, whole_rung
from benchmarks.horizon_bench.tables import Grid, read_table
from benchmarks.horizon_bench.tasks import TASKS

BATCHES = tuple(2.0**step for step in range(3, 11))


def loss_of(batch: float, rate: float, samples: float) -> float:
    """Return the loss of a surface whose best batch goes with the root of the horizon."""
    far = math.log(samples / 1024)
    off_batch = math.log(batch / 16) - 0.5 * far
    off_rate = math.log(rate / 1e-3) - 0.5 * min(math.log(batch / 16), 0.5 * far) + 0.15 * far
    return 3 - 0.1 * (far - 0.15 * off_batch**2 - 0.2 * off_rate**2)


def grid(*shares: int) -> Grid:
    losses = {
        1024.0 * share: {
            (batch, rate): loss_of(batch, rate, 1024.0 * share)
            for batch in BATCHES
            for rate in (1e-3 * 2 ** (step / 2) for step in range(-6, 9))
        }
        for share in shares
    }
    return Grid(model="planted", schedule="cosine", is_adaptive=True, losses=losses)


def test_a_loss_costs_the_samples_that_the_best_setting_saves() -> None:
    known = grid(1, 4, 16)
    for samples in known.horizons:
        assert known.log_data(samples, known.losses[samples][known.best(samples)]) == (
            pytest.approx(0, abs=1e-9)
        )
    earlier = known.losses[1024.0][known.best(1024.0)]
    assert known.log_data(16 * 1024.0, earlier) == pytest.approx(math.log(16))


def test_losses_are_interpolated_and_edges_kept() -> None:
    known = grid(1, 4)
    exact = known.losses[1024.0][(32.0, 1e-3)]
    assert known.loss_at(1024.0, (32.0, 1e-3)) == pytest.approx(exact)
    assert known.loss_at(1024.0, (1e6, 1e-3)) == known.losses[1024.0][(1024.0, 1e-3)]
    between = known.loss_at(1024.0, (45.0, 1e-3))
    ends = sorted((exact, known.losses[1024.0][(64.0, 1e-3)]))
    assert ends[0] <= between <= ends[1]


def test_the_law_carries_a_planted_table_better_than_no_change() -> None:
    job = Job(
        table="planted", grid=grid(1, 4, 64), revealed="whole rung", samples=65_536, rung=1024
    )
    (row,) = summarised([result_of(job)])
    assert row["law"][0] < 1.1 < row["unchanged"][0]
    assert row["carried"] == pytest.approx(64)
    assert set(METHODS) <= set(row)


def test_time_moves_the_answer_to_batches_that_the_device_takes_as_fast() -> None:
    free = Job(
        table="planted", grid=grid(1, 4, 16), revealed="whole rung", samples=16_384, rung=4096
    )
    timed = replace(free, times=StepTime(fixed_s=1.0, samples_per_s=512))
    assert result_of(timed)["setting"][0] > result_of(free)["setting"][0]
    assert whole_rung(free.grid, 4096, 16_384).log_cost(free.grid.best(16_384)) == 0


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.3])
def test_plans_keep_to_their_share(share: float) -> None:
    plan = plan_within(grid(1, 4, 16, 256), 256 * 1024.0, share)
    assert sum(samples * count for samples, count in plan) <= share * 256 * 1024
    assert bool(plan) == (share >= 2 / 256)
    assert all(count >= 2 for _, count in plan)


def test_every_pair_of_horizons_is_asked() -> None:
    jobs = list(jobs_of("planted", grid(1, 4, 256), FREE))
    pairs = {(job.rung, job.samples) for job in jobs if job.revealed == "whole rung"}
    assert pairs == {(1024, 4096), (1024, 262_144), (4096, 262_144)}
    assert {job.revealed for job in jobs} >= {"1 %", "5 %"}
    assert len({str(job.key) for job in jobs}) == len(jobs)


def test_tables_of_the_repository_are_read() -> None:
    letters, *_ = read_table(DATA / "letters.csv")
    assert letters.is_adaptive
    (classes, *_) = read_table(DATA / "classes.csv")
    assert not classes.is_adaptive
    schedules = {one.schedule for one in read_table(DATA / "lr_scheduling.csv")}
    assert {"constant", "cosine", "cosine:0.1", "wsd:0.2"} <= schedules


def test_recorded_trainings_can_be_repeated() -> None:
    grids = {one.schedule: one for one in read_table(DATA / "classes.csv")}
    for peak, schedule, loss in losses_of(TASKS["classes"](), 64, 2048):
        known = grids[schedule].losses[2048.0][(64.0, float(f"{peak:.5g}"))]
        assert loss == pytest.approx(known, rel=0.01)


def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("model,batch,learning_rate,samples,loss\na,8,0.1,100,1.0\na,8,0.1,x,1.0\n")
    with pytest.raises(ValueError, match=r"table.csv:3: .*'x'"):
        read_table(path)
    path.write_text("model,batch,learning_rate,loss\na,8,0.1,1.0\n")
    with pytest.raises(ValueError, match=r"table.csv:2: 'samples'"):
        read_table(path)


def test_diverged_and_repeated_rows(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = ("a,8,0.1,100,1.0,wsd,0.4", "a,8,0.1,100,3.0,wsd,0.4", "a,8,0.2,100,nan,wsd,0.4")
    path.write_text(
        "model,batch,learning_rate,samples,loss,schedule,decay_share\n" + "\n".join(rows) + "\n"
    )
    (found,) = read_table(path)
    assert found.schedule == "wsd:0.4"
    assert found.losses[100.0] == {(8.0, 0.1): 2.0, (8.0, 0.2): math.inf}


def test_a_planted_critical_batch_is_found() -> None:
    steps = {2.0**k: 1e6 * (1 + 2.0**k / 500) / 2.0**k for k in range(4, 15)}
    critical, least = critical_batch(steps)
    assert critical == pytest.approx(500, rel=0.03)
    assert least == pytest.approx(1e6, rel=0.03)


def test_the_best_rate_is_a_parabolas() -> None:
    cells = {(8.0, rate): math.log(rate / 3e-3) ** 2 for rate in (1e-3, 2e-3, 4e-3, 8e-3)}
    rate, is_inside = best_rate(cells)
    assert is_inside
    assert rate == pytest.approx(3e-3)
    assert best_rate({(8.0, rate): rate for rate in (0.1, 0.2, 0.4)}) == (0.1, False)
