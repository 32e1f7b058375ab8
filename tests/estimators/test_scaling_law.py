"""The scaling law: its limits, its best setting, and planted parameters found again."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from advisor.estimators.noise_scale import NoiseScale
from advisor.estimators.scaling_fit import fit_scaling_law
from advisor.estimators.scaling_law import ScalingLaw, Setting, Slope
from advisor.estimators.scaling_likelihood import Level

_sizes = st.floats(1, 4096)
_rates = st.floats(1e-5, 10)
_slopes = st.builds(Slope, steepness=st.floats(1, 30), exponent=st.floats(0.05, 1.5))


def a_law(
    *,
    largest_rate: float = 0.5,
    critical_batch_size: float = 100.0,
    noise_scale: float = 0.0,
    exponent: float = 0.05,
) -> ScalingLaw:
    return ScalingLaw(
        probabilities=np.ones(1),
        max_noise_share=0.9,
        largest_rate=np.array([largest_rate]),
        critical_batch_size=np.array([critical_batch_size]),
        noise_scale=np.array([noise_scale]),
        steepness=np.ones(1),
        exponent=exponent,
    )


def log_steps(law: ScalingLaw, size: float, rate: float, slope: Slope | None = None) -> float:
    (value,) = law.log_steps(size, rate, slope)
    return float(value)


@given(_sizes, _rates)
def test_settings_of_low_rate_follow_the_flow(size: float, rate: float) -> None:
    law = a_law(largest_rate=1e12)
    assert log_steps(law, size, rate) == pytest.approx(-math.log(rate), abs=1e-6)


@given(_sizes, _rates, _slopes, st.floats(1.01, 8))
def test_slowdown_grows_with_the_rate_and_falls_with_the_batch(
    size: float, rate: float, slope: Slope, factor: float
) -> None:
    law = a_law()
    (slowdown,), (at_more_rate,) = (
        law.log_slowdown(size, rate, slope),
        law.log_slowdown(size, factor * rate, slope),
    )
    (at_more_batch,) = law.log_slowdown(factor * size, rate, slope)
    assert at_more_rate > slowdown
    assert at_more_batch <= slowdown
    assert slowdown >= rate / 0.5


@given(_sizes, _rates, st.floats(1, 10), st.floats(1, 10))
def test_the_steeper_the_curve_the_less_noise_costs(
    size: float, rate: float, steepness: float, factor: float
) -> None:
    law = a_law()
    early, late = (
        law.log_slowdown(size, rate, Slope(steepness=s, exponent=0.5))
        for s in (factor * steepness, steepness)
    )
    assert early[0] <= late[0]


@given(_sizes, st.floats(0.01, 10))
def test_where_noise_is_a_small_part_the_best_rate_is_mccandlishs(
    size: float, largest_rate: float
) -> None:
    law = a_law(largest_rate=largest_rate, exponent=1e-3)
    rates = largest_rate * np.geomspace(1e-4, 10, 2001)
    best = rates[int(law.log_steps(size, rates[:, None]).argmin())]
    assert best == pytest.approx(largest_rate / (1 + 100 / size), rel=0.02)


@given(_sizes)
def test_at_the_best_rate_steps_go_with_the_critical_batch_size(size: float) -> None:
    law = a_law(exponent=1e-3)

    def at_best(batch_size: float) -> float:
        return log_steps(law, batch_size, 0.5 / (1 + 100 / batch_size))

    ratio = math.exp(at_best(size) - at_best(1e9))
    assert ratio == pytest.approx(1 + 100 / size, rel=0.01)


@given(_sizes, st.floats(0.1, 1e4))
def test_noise_shortens_the_steps_of_an_adaptive_optimizer(size: float, noise: float) -> None:
    plain, diluted = a_law(), a_law(noise_scale=noise)
    longer = log_steps(diluted, size, 1e-4) - log_steps(plain, size, 1e-4)
    assert math.exp(2 * longer) == pytest.approx(1 + noise / size)


@given(_sizes, st.floats(0.3, 1.5))
def test_beyond_the_largest_noise_share_a_higher_rate_is_still_worse(
    size: float, exponent: float
) -> None:
    law = a_law(critical_batch_size=1e5, exponent=exponent)
    beyond = [law.log_steps(size, rate)[0] for rate in (10.0, 100.0, 1000.0)]
    assert all(left < right for left, right in itertools.pairwise(beyond))


REFERENCE = Setting(32, 0.01)
SETTINGS = [
    Setting(size, rate) for size, rate in itertools.product((8, 32, 128, 512), (0.01, 0.04, 0.16))
]
SLOPE = Slope(steepness=1.0, exponent=0.05)


def levels_by(law: ScalingLaw, flows: tuple[float, ...] = (2.0, 5.0, 12.0)) -> list[Level]:
    return [
        Level(
            steps={
                n: flow * math.exp(min(log_steps(law, s.batch_size, s.learning_rate, SLOPE), 50))
                for n, s in enumerate(SETTINGS)
            },
            missed={},
            slope=SLOPE,
        )
        for flow in flows
    ]


def fit(
    levels: list[Level],
    *,
    is_adaptive: bool = False,
    broken: tuple[int, ...] = (),
    lag: float = 0.0,
) -> ScalingLaw:
    """Return the geometric means of the laws that fit."""
    law = fit_scaling_law(
        REFERENCE, SETTINGS, levels, is_adaptive=is_adaptive, exponent=0.05, broken=broken, lag=lag
    )
    return replace(
        law,
        probabilities=np.ones(1),
        largest_rate=np.exp([law.mean(np.log(law.largest_rate))]),
        critical_batch_size=np.exp([law.mean(np.log(law.critical_batch_size))]),
        noise_scale=np.expm1([law.mean(np.log1p(law.noise_scale))]),
        steepness=np.exp([law.mean(np.log(law.steepness))]),
    )


def is_moderate(law: ScalingLaw, setting: Setting) -> bool:
    return float(law.log_slowdown(setting.batch_size, setting.learning_rate, SLOPE)[0]) < 2.5


@pytest.mark.parametrize("largest_rate", [0.05, 0.2, 0.8])
@pytest.mark.parametrize("critical_batch_size", [15.0, 80.0, 400.0])
def test_a_planted_law_is_found(largest_rate: float, critical_batch_size: float) -> None:
    planted = a_law(largest_rate=largest_rate, critical_batch_size=critical_batch_size)
    moderate = [n for n, setting in enumerate(SETTINGS) if is_moderate(planted, setting)]
    levels = [
        replace(level, steps={n: level.steps[n] for n in moderate}) for level in levels_by(planted)
    ]
    law = fit_scaling_law(REFERENCE, SETTINGS, levels, is_adaptive=False, exponent=0.05)

    def relative_steps(law: ScalingLaw) -> list[float]:
        steps = [
            law.mean(law.log_steps(SETTINGS[n].batch_size, SETTINGS[n].learning_rate, SLOPE))
            for n in moderate
        ]
        return [float(one - steps[0]) for one in steps]

    assert relative_steps(law) == pytest.approx(relative_steps(planted), abs=0.2)


@pytest.mark.parametrize("noise_scale", [10.0, 60.0, 300.0])
def test_a_planted_noise_scale_is_found(noise_scale: float) -> None:
    found = fit(levels_by(a_law(noise_scale=noise_scale)), is_adaptive=True)
    assert found.noise_scale[0] == pytest.approx(noise_scale, rel=0.5)
    assert fit(levels_by(a_law())).noise_scale[0] == 0


@given(st.floats(1e-3, 1e3))
def test_it_does_not_matter_how_long_the_flow_takes(flow: float) -> None:
    usual, other = (fit(levels_by(a_law(), (1e4 * f,))) for f in (1.0, flow))
    assume(flow > 0.1)
    assert other.largest_rate[0] == pytest.approx(usual.largest_rate[0], rel=0.05)


def test_with_nothing_seen_the_law_is_about_the_reference() -> None:
    nothing = fit([])
    alone = fit([Level(steps={0: 10.0}, missed={}, slope=SLOPE)])
    assert nothing.largest_rate[0] == pytest.approx(16 * REFERENCE.learning_rate)
    assert alone.largest_rate[0] == nothing.largest_rate[0]
    assert nothing.critical_batch_size[0] == pytest.approx(2.5 * REFERENCE.batch_size)


def critical_batch(noise_scale: NoiseScale | None) -> tuple[float, float]:
    """Mean and variance of ln B_c with nothing trained."""
    law = fit_scaling_law(
        REFERENCE, [], [], is_adaptive=False, exponent=0.5, noise_scale=noise_scale
    )
    logs = np.log(law.critical_batch_size)
    centre = float(law.mean(logs))
    return centre, float(law.mean((logs - centre) ** 2))


def measured(value: float, factor: float) -> NoiseScale:
    return NoiseScale(value, (value / factor, value * factor))


@given(st.floats(2, 2000), st.floats(1.1, 10))
def test_the_critical_batch_is_expected_about_the_measured_noise_scale(
    value: float, factor: float
) -> None:
    unknown, spread = critical_batch(None)
    known, known_spread = critical_batch(measured(value, factor))
    low, high = sorted((unknown, math.log(value)))
    assert low - 0.05 <= known <= high + 0.05
    assert known_spread < spread
    vaguer, _ = critical_batch(measured(value, 3 * factor))
    assert abs(vaguer - unknown) <= abs(known - unknown) + 0.05


@given(st.floats(1e12, 1e20))
def test_a_noise_scale_that_is_out_of_the_question_says_little(factor: float) -> None:
    unknown, _ = critical_batch(None)
    for value in (REFERENCE.batch_size * factor, REFERENCE.batch_size / factor):
        assert critical_batch(measured(value, 1.1))[0] == pytest.approx(unknown, abs=0.7)


def test_a_noise_scale_without_bounds_says_nothing_of_the_critical_batch() -> None:
    assert critical_batch(NoiseScale(1e4, None)) == critical_batch(None)


@given(st.floats(1, 99), st.floats(8, 40))
def test_steps_within_the_lag_of_momentum_say_little_of_the_largest_rate(
    lag: float, steps: float
) -> None:
    def largest_rate(steps: float, lag: float) -> float:
        # Four times the rate would take a fourth of the steps, were there no slowdown.
        level = Level(steps={3: steps, 4: steps}, missed={}, slope=SLOPE)
        return float(fit([level], lag=lag).largest_rate[0])

    assert largest_rate(steps, lag) > largest_rate(steps, 0.0)
    assert largest_rate(1e4 * lag, lag) == pytest.approx(largest_rate(1e4 * lag, 0.0), rel=0.01)


def test_a_setting_that_broke_lowers_the_largest_rate() -> None:
    largest = len(SETTINGS) - 1
    assert fit([], broken=(largest,)).largest_rate[0] < 0.7 * fit([]).largest_rate[0]


def test_steps_that_miss_a_level_say_that_a_setting_is_slowed_down() -> None:
    reached = {0: 200.0}
    quiet = fit([Level(steps=reached, missed={2: 2.0}, slope=SLOPE)])
    stuck = fit([Level(steps=reached, missed={2: 2000.0}, slope=SLOPE)])
    assert stuck.log_slowdown(8, 0.16)[0] > quiet.log_slowdown(8, 0.16)[0] + 1


def test_probabilities_are_probabilities() -> None:
    law = fit_scaling_law(REFERENCE, SETTINGS, levels_by(a_law()), is_adaptive=True, exponent=0.5)
    assert law.probabilities.sum() == pytest.approx(1)
    assert (law.probabilities > 0).all()
    for values in (law.largest_rate, law.critical_batch_size, law.noise_scale, law.steepness):
        assert len(values) == len(law.probabilities)
        assert (values > 0).all()
    assert law.mean(np.ones(len(law.probabilities))) == pytest.approx(1)
