"""The horizon law: planted settings are found, units cancel, and what is far is less sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from bsadvise.model.advice import Confidence
from bsadvise.model.measurements import LogEstimate
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.estimators.horizon_advice import (
    HorizonCandidate,
    HorizonSetting,
    advise_for_horizon,
    confidence_of,
    interval_of,
)
from advisor.estimators.horizon_fit import HorizonGuess, fit_horizon_law
from advisor.estimators.horizon_law import HorizonLaw, HorizonPoint, carried_factor
from advisor.estimators.horizon_schedule import CONSTANT, LINEAR, parse_schedule, peak_rate_factor
from advisor.estimators.horizon_tuning import HorizonTuning, NormalPrior

HORIZON = 256_000.0
CANDIDATES = tuple(
    HorizonCandidate(batch_size=2 ** (step / 2), samples=HORIZON) for step in range(6, 25)
)
GUESS = HorizonGuess(
    samples=HORIZON,
    batch_size=LogEstimate(median=64.0, log_deviation=1.5),
    learning_rate=LogEstimate(median=1e-3, log_deviation=1.5),
    schedule=LINEAR,
    is_adaptive=True,
)


def planted(batch_size: float = 128.0, learning_rate: float = 2e-3) -> HorizonLaw:
    """Return one law with the priors' exponents."""
    one = np.ones(1)
    return HorizonLaw(
        samples=HORIZON,
        log_batch_size=one * math.log(batch_size),
        log_rate=one * math.log(learning_rate),
        batch_exponent=one * 0.5,
        log_knee=one * 0.2,
        rate_exponent=one * -0.15,
        slope=one * 0.55,
        rate_curvature=one * 0.18,
        small_batch_curvature=one * 0.12,
        large_batch_curvature=one * 0.2,
    )


def trained(law: HorizonLaw, *horizons: float, scale: float = 0.1) -> list[HorizonPoint]:
    """Return trainings of a grid about the best setting of each horizon."""
    points = []
    for samples in horizons:
        batch = float(np.exp(law.log_best_batch(samples)[0]))
        for by in (0.25, 0.5, 1.0, 2.0, 4.0):
            rate = float(np.exp(law.log_best_rate(batch * by, samples)[0]))
            for over in (0.5, 1.0, 2.0):
                cost = float(law.cost(batch * by, rate * over, samples)[0])
                points.append(
                    HorizonPoint(
                        batch_size=batch * by,
                        learning_rate=rate * over,
                        samples=samples,
                        loss=2 + scale * (cost - math.log(samples / HORIZON)),
                        schedule=LINEAR,
                    )
                )
    return points


def advised(points: Sequence[HorizonPoint], guess: HorizonGuess = GUESS) -> HorizonSetting:
    return advise_for_horizon(fit_horizon_law(points, guess), points, CANDIDATES)


@settings(max_examples=25)
@given(log_batch=st.floats(4, 7), log_rate=st.floats(-8, -4))
def test_a_planted_setting_is_found(log_batch: float, log_rate: float) -> None:
    law = planted(math.exp(log_batch), math.exp(log_rate))
    found = advised(trained(law, HORIZON / 64, HORIZON / 16))
    assert float(law.cost(found.batch_size, found.learning_rate, HORIZON)[0]) < 0.05
    assert found.carried_factor == 16
    assert found.batch_factor == pytest.approx(16**0.5, rel=0.25)


@settings(max_examples=10)
@given(log_batch=st.floats(4, 7), knee=st.floats(16, 512))
def test_trainings_of_equal_time_tell_the_batch_of_equal_samples(
    log_batch: float, knee: float
) -> None:
    """Larger batches are preferred for their cheaper samples: c − ln D, and not c, ranks them."""
    law = planted(math.exp(log_batch))
    points = []
    for time_s in (HORIZON / 64, HORIZON / 16):
        for batch in (math.exp(log_batch) * 2.0**step / 4 for step in range(-2, 5)):
            samples = time_s * batch / (batch + knee)
            rate = float(np.exp(law.log_best_rate(batch, samples)[0]))
            for over in (0.5, 1.0, 2.0):
                cost = float(law.cost(batch, rate * over, samples)[0])
                points.append(
                    HorizonPoint(
                        batch_size=batch,
                        learning_rate=rate * over,
                        samples=samples,
                        loss=2 + 0.1 * (cost - math.log(samples / HORIZON)),
                        schedule=LINEAR,
                        time_s=time_s,
                    )
                )
    found = fit_horizon_law(points, GUESS)
    # Where trainings were, no exponent is needed.
    samples = min(points, key=lambda point: point.loss).samples
    off = float(np.median(found.log_best_batch(samples) - law.log_best_batch(samples)))
    assert abs(off) < math.log(1.75)  # The priors of the curvatures pull.


@settings(max_examples=20)
@given(unit=st.floats(0.01, 100), rate_unit=st.floats(0.01, 100), loss_unit=st.floats(0.1, 10))
def test_units_cancel(unit: float, rate_unit: float, loss_unit: float) -> None:
    points = trained(planted(), HORIZON / 64, HORIZON / 16)
    law = fit_horizon_law(points, GUESS)
    guess = replace(
        GUESS,
        samples=GUESS.samples * unit,
        batch_size=replace(GUESS.batch_size, median=GUESS.batch_size.median * unit),
        learning_rate=replace(GUESS.learning_rate, median=GUESS.learning_rate.median * rate_unit),
    )
    scaled = [
        replace(
            point,
            batch_size=point.batch_size * unit,
            samples=point.samples * unit,
            learning_rate=point.learning_rate * rate_unit,
            loss=point.loss * loss_unit,
        )
        for point in points
    ]
    other = fit_horizon_law(scaled, guess)
    assert np.allclose(other.log_batch_size - law.log_batch_size, math.log(unit), atol=0.02)
    assert np.allclose(other.log_rate - law.log_rate, math.log(rate_unit), atol=0.02)


def test_the_guess_alone_is_the_prior() -> None:
    law = fit_horizon_law((), GUESS)
    assert law.log_batch_size.mean() == pytest.approx(math.log(64))
    assert law.log_batch_size.std() == pytest.approx(1.5, rel=1e-3)
    exponent = HorizonTuning().batch_exponent
    assert law.batch_exponent.mean() == pytest.approx(exponent.mean)
    assert law.batch_exponent.std() == pytest.approx(exponent.deviation, rel=1e-3)
    found = advised(())
    assert found.carried_factor == math.inf
    assert found.confidence is Confidence.LOW


def test_a_rung_of_one_training_says_nothing() -> None:
    one = trained(planted(), HORIZON / 16)[:1]
    assert np.allclose(fit_horizon_law(one, GUESS).log_rate, fit_horizon_law((), GUESS).log_rate)


@given(samples=st.floats(1e3, 1e9), more=st.floats(1.1, 100), batch=st.floats(8, 4096))
def test_longer_trainings_want_larger_batches_and_lower_rates(
    samples: float, more: float, batch: float
) -> None:
    law = planted()
    assert law.log_best_batch(samples * more) > law.log_best_batch(samples)
    knee = float(np.exp(law.log_best_batch(samples) + law.log_knee)[0])
    if batch < knee:
        longer = law.log_best_rate(batch, samples * more)
        assert longer < law.log_best_rate(batch, samples)
    assert law.log_best_rate(2 * batch, samples) >= law.log_best_rate(batch, samples)
    assert law.log_best_rate(4 * knee, samples) == pytest.approx(law.log_best_rate(knee, samples))


@given(batch=st.floats(8, 4096), rate=st.floats(1e-5, 1))
def test_no_setting_costs_less_than_the_best(batch: float, rate: float) -> None:
    law = planted()
    best_rate = float(np.exp(law.log_best_rate(128.0, HORIZON))[0])
    assert law.cost(128.0, best_rate, HORIZON) == pytest.approx(0)
    assert law.cost(batch, rate, HORIZON) >= 0


def test_a_decayed_training_wants_the_bounds_factor_more_than_a_constant_rate() -> None:
    law = planted()
    constant = [
        replace(point, schedule=CONSTANT, samples=point.batch_size * 1000)
        for point in trained(law, HORIZON)
        if math.isclose(point.batch_size, 128)
    ]
    guess = replace(GUESS, samples=128_000.0)
    same = fit_horizon_law(constant, replace(guess, schedule=CONSTANT))
    decayed = fit_horizon_law(constant, guess)
    # At the steps from which a constant rate loses more, the factor is the bound's alone.
    factor = math.log(peak_rate_factor(LINEAR, CONSTANT))
    assert (decayed.log_rate - same.log_rate).mean() == pytest.approx(factor, rel=0.1)
    assert decayed.log_rate.std() > same.log_rate.std()


def test_a_constant_rate_falls_more_with_the_horizon() -> None:
    def exponent(name: str) -> float:
        law = fit_horizon_law((), replace(GUESS, schedule=parse_schedule(name)))
        return float(law.rate_exponent.mean())

    assert exponent("constant") < exponent("cosine:0.5") < exponent("cosine:0.1")
    assert exponent("cosine") == exponent("wsd:0.2") == exponent("linear")


def test_trainings_that_diverged_keep_the_rate_below_them() -> None:
    points = trained(planted(), HORIZON / 16)
    hottest = replace(points[0], learning_rate=points[0].learning_rate * 1.5, loss=math.inf)
    before, after = (
        fit_horizon_law(points[:1], GUESS),
        fit_horizon_law([*points[:1], hottest], GUESS),
    )
    batch = points[0].batch_size
    low = after.log_best_rate(batch, HORIZON / 16).mean()
    assert low <= before.log_best_rate(batch, HORIZON / 16).mean()
    assert fit_horizon_law([replace(hottest, loss=math.nan)], GUESS).log_rate.mean() == (
        pytest.approx(before.log_rate.mean())
    )


@settings(max_examples=20)
@given(by=st.sampled_from([4.0, 16.0, 64.0, 256.0]))
def test_what_is_carried_further_is_less_sure(by: float) -> None:
    near = advised(trained(planted(), HORIZON / by))
    far = advised(trained(planted(), HORIZON / by / 4))
    assert far.carried_factor == 4 * near.carried_factor
    assert far.best_batch_size.log_deviation > near.best_batch_size.log_deviation
    assert (far.confidence is Confidence.HIGH) <= (near.confidence is Confidence.HIGH)
    interval = interval_of(far.best_batch_size)
    assert interval.low < far.best_batch_size.median < interval.high


@given(carried=st.floats(1, 1e4), deviation=st.floats(0, 3))
def test_confidence_is_never_high_when_carried_far(carried: float, deviation: float) -> None:
    found = confidence_of(carried, deviation)
    assert found is not Confidence.HIGH or carried <= 16
    order = [Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW]
    assert order.index(confidence_of(2 * carried, deviation)) >= order.index(found)
    assert order.index(confidence_of(carried, deviation + 0.1)) >= order.index(found)


def test_time_prefers_the_batch_that_sees_more_samples() -> None:
    points = trained(planted(), HORIZON / 16)
    law = fit_horizon_law(points, GUESS)
    timed = [replace(one, samples=HORIZON * min(one.batch_size / 1024, 1.0)) for one in CANDIDATES]
    found = advise_for_horizon(law, points, timed)
    assert found.batch_size > advise_for_horizon(law, points, CANDIDATES).batch_size


def test_the_longest_horizon_is_what_is_carried() -> None:
    points = trained(planted(), HORIZON / 64, HORIZON / 4)
    assert carried_factor(points, HORIZON) == 4
    assert carried_factor(points, HORIZON / 100) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"misfit": 0.0},
        {"relative_misfit": -1.0},
        {"high_carried": 1.0},
        {"medium_carried": 2.0},
    ],
)
def test_tuned_numbers_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        HorizonTuning(**values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="above 0"):
        NormalPrior(mean=0.0, deviation=0.0)
