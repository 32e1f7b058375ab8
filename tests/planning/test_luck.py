"""How far luck goes, and whom it may have favoured."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.trials.seed_variance import SeedVariance, luck_of
from advisor.planning.trials.trials import Trial
from tests.support.given_trials import a_trial, power_law

_TARGET = 0.5
_seconds = st.floats(0.1, 100)
_trainings = st.lists(_seconds, min_size=1, max_size=5)


def _reaching(number: int, *arrivals_s: float) -> Trial:
    trial = a_trial(number, power_law(), target_loss=_TARGET)
    return replace(trial, arrival_s=arrivals_s[0], replicates_s=arrivals_s[1:])


def _short(number: int) -> Trial:
    return a_trial(number, power_law())


def test_one_training_of_each_says_nothing_of_luck() -> None:
    before = luck_of([]).spread
    assert before > 0
    assert luck_of([_reaching(0, 1.0), _reaching(1, 50.0), _short(2)]).spread == before


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.6])
def test_a_planted_spread_is_found(spread: float) -> None:
    draw = random.Random(0)
    trials = [
        _reaching(n, *(math.exp(n + draw.gauss(0, spread)) for _ in range(5))) for n in range(40)
    ]
    assert luck_of(trials).spread == pytest.approx(spread, rel=0.15)


@given(st.lists(_trainings, min_size=1, max_size=6), st.floats(0.01, 100))
def test_it_does_not_depend_on_the_unit_of_time(times_s: list[list[float]], unit: float) -> None:
    trials = [_reaching(n, *own_s) for n, own_s in enumerate(times_s)]
    scaled = [_reaching(n, *(unit * s for s in own_s)) for n, own_s in enumerate(times_s)]
    assert luck_of(scaled).spread == pytest.approx(luck_of(trials).spread)


@given(_trainings)
def test_hope_and_caution_stand_about_the_typical_time(times_s: list[float]) -> None:
    trial, luck = _reaching(0, *times_s), SeedVariance(0.3)
    typical_s = trial.typical_arrival_s
    assert typical_s is not None
    assert luck.hopeful_s(trial) * luck.cautious_s(trial) == pytest.approx(typical_s**2)
    width = math.log(luck.cautious_s(trial) / typical_s)
    assert width == pytest.approx(0.3 / math.sqrt(len(times_s)))


def test_what_has_not_arrived_is_neither_hoped_for_nor_trusted() -> None:
    luck = SeedVariance(0.3)
    assert luck.hopeful_s(_short(0)) == luck.cautious_s(_short(0)) == math.inf
    assert luck.contenders([_short(0)]) == []
    assert luck.contenders([]) == []


def test_a_setting_that_was_lucky_once_counts_less_than_one_that_is_known() -> None:
    luck = SeedVariance(0.3)
    lucky, known = _reaching(0, 0.95), _reaching(1, 1.0, 1.0, 1.0)
    assert luck.cautious_s(known) < luck.cautious_s(lucky)
    assert luck.contenders([known, lucky]) == [lucky, known]


@given(st.lists(_trainings, min_size=1, max_size=8), st.floats(0.01, 1))
def test_the_typically_soonest_is_always_a_contender(
    times_s: list[list[float]], spread: float
) -> None:
    trials = [_reaching(n, *own_s) for n, own_s in enumerate(times_s)]
    contenders = SeedVariance(spread).contenders(trials)
    soonest = min(trials, key=lambda trial: trial.typical_arrival_s or math.inf)
    assert soonest in contenders
    hopes = [SeedVariance(spread).hopeful_s(trial) for trial in contenders]
    assert hopes == sorted(hopes)
    assert max(hopes) <= (soonest.typical_arrival_s or 0.0)


def test_the_less_luck_there_is_the_fewer_contend() -> None:
    trials = [_reaching(n, 1.1**n) for n in range(10)]
    counts = [len(SeedVariance(spread).contenders(trials)) for spread in (0.01, 0.2, 0.5, 2.0)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 10)
