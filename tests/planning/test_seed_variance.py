"""Seed-to-seed variance of times to target, and the bounds that it gives."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.trials.seed_variance import SeedVariance, estimate_seed_variance
from advisor.planning.trials.trials import Trial
from advisor.planning.tuning.comparison import SeedVarianceTuning
from tests.support.given_trials import a_trial, power_law

PRIOR = SeedVarianceTuning()
_TARGET = 0.5
_seconds = st.floats(0.1, 100)
_trainings = st.lists(_seconds, min_size=1, max_size=5)


def _reaching(number: int, *times_s: float) -> Trial:
    trial = a_trial(number, power_law(), target_loss=_TARGET)
    return replace(trial, time_to_target_s=times_s[0], replicates_s=times_s[1:])


def _short(number: int) -> Trial:
    return a_trial(number, power_law())


def test_one_training_of_each_leaves_the_prior() -> None:
    before = estimate_seed_variance([], PRIOR).spread
    assert before > 0
    assert (
        estimate_seed_variance([_reaching(0, 1.0), _reaching(1, 50.0), _short(2)], PRIOR).spread
        == before
    )


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.6])
def test_a_planted_spread_is_found(spread: float) -> None:
    draw = random.Random(0)
    trials = [
        _reaching(n, *(math.exp(n + draw.gauss(0, spread)) for _ in range(5))) for n in range(40)
    ]
    assert estimate_seed_variance(trials, PRIOR).spread == pytest.approx(spread, rel=0.15)


@given(st.lists(_trainings, min_size=1, max_size=6), st.floats(0.01, 100))
def test_it_does_not_depend_on_the_unit_of_time(times_s: list[list[float]], unit: float) -> None:
    trials = [_reaching(n, *own_s) for n, own_s in enumerate(times_s)]
    scaled = [_reaching(n, *(unit * s for s in own_s)) for n, own_s in enumerate(times_s)]
    assert estimate_seed_variance(scaled, PRIOR).spread == pytest.approx(
        estimate_seed_variance(trials, PRIOR).spread
    )


@given(_trainings)
def test_bounds_stand_about_the_typical_time(times_s: list[float]) -> None:
    trial, variance = _reaching(0, *times_s), SeedVariance(0.3)
    typical_s = trial.typical_time_to_target_s
    assert typical_s is not None
    assert variance.lower_bound_s(trial) * variance.upper_bound_s(trial) == pytest.approx(
        typical_s**2
    )
    width = math.log(variance.upper_bound_s(trial) / typical_s)
    assert width == pytest.approx(0.3 / math.sqrt(len(times_s)))


def test_a_trial_short_of_the_target_has_no_bounds() -> None:
    variance = SeedVariance(0.3)
    assert variance.lower_bound_s(_short(0)) == variance.upper_bound_s(_short(0)) == math.inf
    assert variance.contenders([_short(0)]) == []
    assert variance.contenders([]) == []


def test_a_setting_that_was_fast_once_counts_less_than_one_that_is_known() -> None:
    variance = SeedVariance(0.3)
    once, known = _reaching(0, 0.95), _reaching(1, 1.0, 1.0, 1.0)
    assert variance.upper_bound_s(known) < variance.upper_bound_s(once)
    assert variance.contenders([known, once]) == [once, known]


@given(st.lists(_trainings, min_size=1, max_size=8), st.floats(0.01, 1))
def test_the_typically_fastest_is_always_a_contender(
    times_s: list[list[float]], spread: float
) -> None:
    trials = [_reaching(n, *own_s) for n, own_s in enumerate(times_s)]
    contenders = SeedVariance(spread).contenders(trials)
    fastest = min(trials, key=lambda trial: trial.typical_time_to_target_s or math.inf)
    assert fastest in contenders
    bounds_s = [SeedVariance(spread).lower_bound_s(trial) for trial in contenders]
    assert bounds_s == sorted(bounds_s)
    assert max(bounds_s) <= (fastest.typical_time_to_target_s or 0.0)


def test_the_lower_the_variance_the_fewer_contend() -> None:
    trials = [_reaching(n, 1.1**n) for n in range(10)]
    counts = [len(SeedVariance(spread).contenders(trials)) for spread in (0.01, 0.2, 0.5, 2.0)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 10)
