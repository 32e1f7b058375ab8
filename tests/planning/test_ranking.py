"""Which of two trials is predicted to be first: laws, and what short trainings get wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import geometric_mean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from advisor.planning.trials.ranking import HELD_OUT
from advisor.planning.trials.trials import Trial
from tests.support.given_trials import a_trial, power_law, ranking_of

_exponents = st.floats(0.1, 2)
_scales = st.floats(0.1, 10)
_seconds = st.floats(1, 100)
_sizes = st.sampled_from([8, 32, 128, 512])
_multipliers = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])


@st.composite
def _trials(draw: st.DrawFn, number: int = 0, target_loss: float | None = None) -> Trial:
    return a_trial(
        number,
        power_law(draw(_exponents), draw(_scales)),
        end_s=draw(_seconds),
        batch_size=draw(_sizes),
        lr_multiplier=draw(_multipliers),
        target_loss=target_loss,
    )


def _reaching(
    number: int, time_to_target_s: float, *replicates_s: float, **setting: float
) -> Trial:
    """Return a trial that came to a loss of 0.5."""
    trial = a_trial(number, power_law(), target_loss=0.5, **setting)  # type: ignore[arg-type] # a size
    return replace(trial, time_to_target_s=time_to_target_s, replicates_s=replicates_s)


@given(one=_trials(), other=_trials(number=1), target_loss=st.none() | st.floats(1e-3, 0.1))
def test_what_one_leads_by_the_other_lags(
    one: Trial, other: Trial, target_loss: float | None
) -> None:
    time_s = min(one.end_s, other.end_s)
    assume(not math.isclose(one.loss_until(time_s), other.loss_until(time_s), rel_tol=1e-6))
    ranking = ranking_of(one, other, target_loss=target_loss)
    assert ranking.lead(one, other) == pytest.approx(-ranking.lead(other, one))


@given(one=_trials(target_loss=0.5), other=_trials(number=1, target_loss=0.5))
def test_what_one_leads_by_the_other_lags_on_the_way_to_a_target_too(
    one: Trial, other: Trial
) -> None:
    time_s = min(one.end_s, other.end_s)
    assume(not math.isclose(one.loss_until(time_s), other.loss_until(time_s), rel_tol=1e-6))
    ranking = ranking_of(one, other, target_loss=0.5)
    assert ranking.lead(one, other) == pytest.approx(-ranking.lead(other, one))


@given(exponent=_exponents, doublings=st.floats(0.5, 3))
def test_one_that_is_as_far_in_half_the_time_leads_by_a_doubling(
    exponent: float, doublings: float
) -> None:
    slow = a_trial(0, power_law(exponent))
    quick = a_trial(1, lambda time_s: power_law(exponent)(time_s * 2**doublings))
    # Seven doublings were looked at, and back along them by steps.
    assert ranking_of(slow, quick).lead(quick, slow) == pytest.approx(doublings, abs=0.2)


@given(one_s=_seconds, other_s=_seconds, multiplier=_multipliers, size=_sizes)
def test_with_nothing_to_go_it_is_the_ratio_of_times(
    one_s: float, other_s: float, multiplier: float, size: int
) -> None:
    one = _reaching(0, one_s)
    other = _reaching(1, other_s, lr_multiplier=multiplier, batch_size=size)
    ranking = ranking_of(one, other, target_loss=0.5)
    assert ranking.lead(one, other) == pytest.approx(math.log2(other_s / one_s))
    assert ranking.doublings_left == 0


def test_replicates_count_as_much_as_the_first_training() -> None:
    varying, steady = _reaching(0, 4.0, 8.0, 8.0), _reaching(1, 5.0, 5.0, 5.0)
    assert varying.typical_time_to_target_s == pytest.approx(geometric_mean([4, 8, 8]))
    assert ranking_of(varying, steady, target_loss=0.5).best is steady


def test_one_that_did_not_reach_the_target_in_as_long_is_behind_by_a_doubling_at_least() -> None:
    reached = _reaching(0, 4.0)
    late = a_trial(1, power_law(0.01), end_s=8.0, target_loss=0.5)
    ranking = ranking_of(reached, late, target_loss=0.5)
    assert ranking.lead(reached, late) == pytest.approx(2)
    assert ranking.lead(late, reached) == pytest.approx(-2)


def test_noise_is_penalised_the_more_the_more_is_to_go() -> None:
    def lead_of_the_less_noisy(target_loss: float, **setting: float) -> float:
        noisy = a_trial(0, power_law(scale=0.99), target_loss=target_loss)
        quiet = a_trial(1, power_law(), target_loss=target_loss, **setting)  # type: ignore[arg-type]
        return ranking_of(noisy, quiet, target_loss=target_loss).lead(quiet, noisy)

    near, far, farther = (power_law()(8.0 * 2**doublings) for doublings in (0.5, 1.5, 20.0))
    for setting in ({"lr_multiplier": 0.25}, {"batch_size": 128}):
        same = lead_of_the_less_noisy(near)
        leads = [lead_of_the_less_noisy(target, **setting) for target in (near, far, farther)]
        assert same < leads[0] < leads[1] <= leads[2]
        assert leads[2] - same < 2, "two halvings cost two doublings at the most"


def test_of_two_that_are_as_far_the_less_noisy_is_best() -> None:
    settings = [(32, 1.0), (32, 0.5), (64, 1.0), (32, 2.0)]
    trials = [
        a_trial(n, power_law(), batch_size=size, lr_multiplier=multiplier)
        for n, (size, multiplier) in enumerate(settings)
    ]
    ranking = ranking_of(*trials)
    assert ranking.best_of([trials[0], trials[1]]) is trials[1]
    assert ranking.best_of([trials[0], trials[2]]) is trials[2]
    assert ranking.best_of([trials[0], trials[3]]) is trials[0]


@given(trials=st.lists(_trials(), min_size=1, max_size=6), data=st.data())
def test_an_unsound_trial_is_never_best(trials: list[Trial], data: st.DataObject) -> None:
    diverged = data.draw(st.lists(st.booleans(), min_size=len(trials), max_size=len(trials)))
    tried = [
        a_trial(n, trial.curve.loss_at, end_s=trial.end_s, diverged=bad)
        for n, (trial, bad) in enumerate(zip(trials, diverged, strict=True))
    ]
    ranking = ranking_of(*tried)
    if all(diverged):
        assert ranking.best is None
    else:
        assert ranking.best is not None
        assert ranking.best is ranking.best_of(tried)
        assert ranking.best.is_sound
        assert all(tie.is_sound for tie in ranking.ties_of(ranking.best, tried))
        assert ranking.best_proven(tried).is_sound
        assert ranking.middle_of_best(tried).is_sound


@given(exponent=st.floats(0.2, 2), scale=_scales, doublings=st.floats(0.1, 3.9))
def test_what_is_to_go_is_read_off_a_power_law(
    exponent: float, scale: float, doublings: float
) -> None:
    trial = a_trial(0, power_law(exponent, scale))
    onwards = a_trial(0, power_law(exponent, scale), end_s=8.0 * 2**doublings)
    ranking = ranking_of(trial, target_loss=onwards.loss_until(onwards.end_s))
    assert ranking.doublings_left == pytest.approx(doublings, rel=1e-6)


def test_what_is_to_go_has_an_end_and_is_not_known_without_a_target() -> None:
    falling, rising = a_trial(0, power_law()), a_trial(0, power_law(-0.5))
    unknown = ranking_of(falling).doublings_left
    assert ranking_of(falling, target_loss=1e-30).doublings_left >= unknown > 0
    assert ranking_of(falling, target_loss=1e-30).doublings_left < 10
    assert ranking_of(rising, target_loss=0.1).doublings_left == unknown
    assert ranking_of(falling, target_loss=-1.0).doublings_left == unknown
    assert ranking_of(a_trial(0, power_law(), diverged=True)).doublings_left == unknown


def test_the_lowest_of_the_losses_tells_what_is_to_go() -> None:
    far, near = a_trial(0, power_law(0.5, 4.0)), a_trial(1, power_law(0.5))
    target_loss = power_law()(16.0)
    alone = ranking_of(near, target_loss=target_loss).doublings_left
    assert ranking_of(far, near, target_loss=target_loss).doublings_left == alone


def test_of_ties_the_middle_is_taken() -> None:
    multipliers = (0.4, 1.0, 2.5)
    ties = [_reaching(n, 4.0 - 0.01 * n, lr_multiplier=m) for n, m in enumerate(multipliers)]
    slow = [_reaching(3 + n, 16.0, lr_multiplier=10.0 * (n + 1)) for n in range(4)]
    ranking = ranking_of(*ties, *slow, target_loss=0.5)
    assert ranking.best is ties[2]
    assert ranking.ties_of(ties[2], [*ties, *slow]) == ties
    assert ranking.middle_of_best([*ties, *slow]) is ties[1]


def test_the_middle_is_of_batches_too() -> None:
    ties = [_reaching(n, 4.0, batch_size=size) for n, size in enumerate((512, 32, 128))]
    assert ranking_of(*ties, target_loss=0.5).middle_of_best(ties) is ties[2]


def test_one_that_is_clearly_ahead_is_its_own_middle() -> None:
    best = _reaching(0, 2.0)
    others = [_reaching(n, 4.0, lr_multiplier=4.0) for n in (1, 2, 3)]
    assert ranking_of(best, *others, target_loss=0.5).middle_of_best([best, *others]) is best


def test_what_was_hardly_trained_must_be_clearly_ahead_to_be_taken_for_the_best() -> None:
    deep = a_trial(0, power_law())
    ranking = ranking_of(deep)
    little, much = (
        a_trial(1, power_law(scale=2 ** (-doublings / 2)), end_s=1.0) for doublings in (0.5, 3.0)
    )
    assert ranking.best_of([deep, little]) is little
    assert ranking.best_proven([deep, little]) is deep
    assert ranking.best_proven([deep, much]) is much
    broken = a_trial(1, power_law(), end_s=16.0, diverged=True)
    assert ranking.best_proven([broken, deep]) is deep


def test_one_that_was_hardly_trained_is_no_tie() -> None:
    deep, shallow = a_trial(0, power_law()), a_trial(1, power_law(), end_s=1.0)
    assert ranking_of(deep, shallow).ties_of(deep, [deep, shallow]) == [deep]


@given(exponent=_exponents, share=st.floats(0.1, 0.9))
def test_when_a_loss_was_left_behind_is_read_off_the_curve(exponent: float, share: float) -> None:
    trial = a_trial(0, power_law(exponent))
    loss = trial.loss_until(share * 8.0)
    time_s = ranking_of(trial).time_at(trial, loss, HELD_OUT)
    assert math.log2(time_s / (share * 8.0)) == pytest.approx(0, abs=0.2)


@given(one=_trials(), other=_trials(number=1), within=st.floats(0, 3))
def test_a_lead_is_exact_as_far_as_it_is_wanted(one: Trial, other: Trial, within: float) -> None:
    ranking = ranking_of(one, other)
    exact, rough = ranking.lead(one, other), ranking.lead(one, other, within=within)
    if abs(exact) <= within:
        assert rough == exact
    else:
        assert math.copysign(1, rough) == math.copysign(1, exact)
        assert abs(rough) > within
