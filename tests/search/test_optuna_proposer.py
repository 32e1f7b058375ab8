"""Optuna behind the proposer's port: the contract, and what TPE should make of evidence."""

from __future__ import annotations

import dataclasses
import logging
import math
import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.ports.proposer import Point, Study, TrialRecord
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.proposer_contract import (
    ProposerContract,
    make_study,
    make_trial,
    no_deadline,
)


class TestOptunaProposer(ProposerContract):
    def make(self) -> OptunaProposer:
        return OptunaProposer()


def _point(study: Study) -> Point:
    return OptunaProposer().propose(study).point


def _ridge_loss(point: Point) -> float:
    """A narrow ridge at multiplier 1, and on it a shallow optimum at a batch of 256."""
    across = math.log2(point.lr_multiplier)
    along = math.log2(point.effective_batch_size / 256)
    return across**2 + 0.1 * along**2


def _search(seed: int, trial_count: int) -> list[TrialRecord]:
    trials: list[TrialRecord] = []
    for _ in range(trial_count):
        point = _point(make_study(*trials, seed=seed))
        trials.append(TrialRecord(point=point, losses={0: _ridge_loss(point)}))
    return trials


def _search_at_random(seed: int, trial_count: int) -> float:
    draw = np.random.default_rng(seed)
    return min(
        _ridge_loss(
            Point(
                effective_batch_size=round(2 ** draw.uniform(3, 12)),
                lr_multiplier=2 ** draw.uniform(-4, 4),
            )
        )
        for _ in range(trial_count)
    )


def test_finds_a_planted_optimum_better_than_chance() -> None:
    seeds = range(12)
    found = [min(_ridge_loss(t.point) for t in _search(seed, 15)) for seed in seeds]
    by_chance = [_search_at_random(seed, 15) for seed in seeds]
    assert statistics.median(found) < 0.6 * statistics.median(by_chance)


def _share_above(batch_size: int, *trials: TrialRecord) -> float:
    proposals = [_point(make_study(*trials, seed=seed)) for seed in range(40)]
    return statistics.mean(p.effective_batch_size > batch_size for p in proposals)


def test_keeps_away_from_where_memory_ran_out() -> None:
    # The large batches look better; nothing but the constraint speaks against them.
    draw = np.random.default_rng(0)
    multipliers = 2 ** draw.uniform(-1, 1, size=8)
    small = [make_trial(int(2 ** draw.uniform(3, 8)), m, 0.5) for m in multipliers]
    large = [(int(2 ** draw.uniform(9, 12)), m) for m in multipliers]
    sound = [make_trial(batch, multiplier, 0.4) for batch, multiplier in large]
    broken = [make_trial(batch, multiplier, 0.4, excess=1.0) for batch, multiplier in large]
    assert _share_above(256, *small, *sound) > 0.8
    assert _share_above(256, *small, *broken) < 0.2


def test_a_deep_trial_outranks_a_shallow_one_with_a_lower_loss() -> None:
    # Losses of different depths are not of one kind; what went deep says where to look.
    deep = [make_trial(1024 + 8 * n, 1 + n / 10, 3.0, 2.0) for n in range(4)]
    shallow = [make_trial(16 + n, 1 + n / 10, 1.5) for n in range(4)]
    assert _share_above(128, *deep, *shallow) > 0.8


def test_a_pruned_trial_is_evidence_against_its_neighbourhood() -> None:
    kept = [make_trial(1024 + 8 * n, 1 + n / 10, 0.5, 0.4) for n in range(3)]
    pruned = [make_trial(16 + n, 1 + n / 10, 0.9, was_pruned=True) for n in range(3)]
    assert _share_above(128, *kept, *pruned) > 0.8


@no_deadline
@given(seed=st.integers(0, 1000))
def test_another_seed_gives_another_search(seed: int) -> None:
    one, other = make_study(seed=seed), make_study(seed=seed + 1)
    assert OptunaProposer().propose(one) != OptunaProposer().propose(other)


def test_trials_outside_the_bounds_leave_the_proposal_alone() -> None:
    trials = [make_trial(2 ** (4 + n), 1.0, 0.1 * n) for n in range(6)]
    outside = make_trial(2, 100.0, 0.0)
    narrow = dataclasses.replace(make_study(*trials, outside), smallest_batch_size=16)
    moved = dataclasses.replace(narrow, trials=(*trials, make_trial(4, 200.0, 0.9)))
    assert OptunaProposer().propose(narrow) == OptunaProposer().propose(moved)


def test_another_process_gives_the_same_answer() -> None:
    trials = [make_trial(2 ** (4 + n % 6), 0.5 + n / 8, 1 / (n + 1)) for n in range(10)]
    study = make_study(*trials, seed=7)
    program = (
        "from advisor.ports.proposer import Point, Study, TrialRecord\n"
        "from advisor.search.optuna_proposer import OptunaProposer\n"
        f"study = {study!r}\n"
        "print(repr(OptunaProposer().propose(study)))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == repr(OptunaProposer().propose(study))
    assert finished.stderr == ""


def test_optuna_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        OptunaProposer().propose(make_study())
    assert not caplog.records
