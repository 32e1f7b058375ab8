"""Tuned numbers: each is documented, reaches what it tunes, and is refused out of its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from statistics import NormalDist

import numpy as np
import pytest
from bsadvise.model.measurements import LogEstimate, Prior

from advisor.estimators import quantiles
from advisor.estimators.data_order import DataOrderTuning, OrderEffect, estimate_order_effect
from advisor.estimators.gradient_clipping import GradientClippingTuning, norm_statistics
from advisor.estimators.horizon_tuning import HorizonTuning
from advisor.estimators.hyperparameter_rules import (
    HyperparameterRulesTuning,
    scale_momentum,
    sgd_warmup_steps,
)
from advisor.estimators.law_prior import pool_priors
from advisor.estimators.learning_curve import LearningCurve, LearningCurveTuning
from advisor.estimators.memory_curve import MemoryCurve, MemoryCurveTuning
from advisor.estimators.noise_scale import NoiseScaleTuning, estimate_noise_scale
from advisor.estimators.power import mean_power_w
from advisor.estimators.range_test import RangeTestTuning, estimate_range
from advisor.estimators.scaling_fit import fit_scaling_law
from advisor.estimators.scaling_law import ScalingLaw, Setting, Slope
from advisor.estimators.scaling_likelihood import Level
from advisor.estimators.scaling_tuning import ScalingTuning
from advisor.estimators.timing import StepTimeCurve, StepTimeTuning
from advisor.estimators.training_curve import TrainingCurveTuning, training_curve

TUNINGS = [
    DataOrderTuning,
    GradientClippingTuning,
    HorizonTuning,
    HyperparameterRulesTuning,
    LearningCurveTuning,
    MemoryCurveTuning,
    NoiseScaleTuning,
    RangeTestTuning,
    ScalingTuning,
    StepTimeTuning,
    TrainingCurveTuning,
]


@pytest.mark.parametrize("kind", TUNINGS)
def test_every_field_is_documented_and_every_value_hashable(kind: type) -> None:
    value = kind()
    for field in fields(value):
        assert f"\n        {field.name}: " in (kind.__doc__ or ""), field.name
    assert hash(value) == hash(kind())


@pytest.mark.parametrize(
    "build",
    [
        lambda: DataOrderTuning(false_alarm_rate=0.0),
        lambda: DataOrderTuning(false_alarm_rate=1.0),
        lambda: GradientClippingTuning(min_norms=0),
        lambda: HyperparameterRulesTuning(max_momentum=1.0),
        lambda: LearningCurveTuning(averaged_evaluations=0),
        lambda: LearningCurveTuning(points_per_doubling=0),
        lambda: LearningCurveTuning(slope_span_before=0.0),
        lambda: LearningCurveTuning(slope_span_after=-0.1),
        lambda: LearningCurveTuning(min_end_slope_span=0.0),
        lambda: MemoryCurveTuning(first_sizes=(2, 2)),
        lambda: MemoryCurveTuning(first_sizes=(2, 16), largest_size=8),
        lambda: MemoryCurveTuning(growth=1),
        lambda: MemoryCurveTuning(shrink=1),
        lambda: MemoryCurveTuning(tolerance=1.0),
        lambda: NoiseScaleTuning(max_interval_factor=1.0),
        lambda: RangeTestTuning(min_steps=7),
        lambda: RangeTestTuning(baseline_share=1.0),
        lambda: RangeTestTuning(rate_margin=1.0),
        lambda: RangeTestTuning(max_log_delay=-1.0),
        lambda: ScalingTuning(rate_median=0.0),
        lambda: ScalingTuning(noise_spread=1.0),
        lambda: ScalingTuning(grid_points=(15, 11, 5, 1)),
        lambda: ScalingTuning(max_noise_share=1.0),
        lambda: ScalingTuning(negligible_probability=1.0),
        lambda: ScalingTuning(misfit=math.nan),
        lambda: StepTimeTuning(knee_share=1.0),
        lambda: TrainingCurveTuning(window_ratio=1.0),
    ],
)
def test_what_would_break_the_mathematics_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must"):
        build()


def test_normal_constants_are_those_of_the_normal_distribution() -> None:
    normal = NormalDist()
    assert pytest.approx(normal.inv_cdf(0.9), abs=1e-4) == quantiles.Z_80
    assert pytest.approx(1 / normal.inv_cdf(0.75), abs=1e-4) == quantiles.DEVIATION_PER_MAD


def test_the_false_alarm_rate_decides_what_is_unrepresentative() -> None:
    norms = (2.0, 1.0)
    cautious, eager = (
        estimate_order_effect(8, 16, norms, [norms], tuning=DataOrderTuning(false_alarm_rate=rate))
        for rate in (0.1, 0.9)
    )
    assert isinstance(cautious, OrderEffect)
    assert isinstance(eager, OrderEffect)
    assert cautious.p_value == eager.p_value == pytest.approx(0.5)
    assert not cautious.is_unrepresentative
    assert eager.is_unrepresentative


def test_fewer_norms_are_enough_where_so_said() -> None:
    assert norm_statistics([1.0] * 3, tuning=GradientClippingTuning(min_norms=3)) is not None


def test_rules_for_hyperparameters_keep_to_their_numbers() -> None:
    tuning = HyperparameterRulesTuning(max_momentum=0.5, sgd_warmup_epochs=2, equal_rate_factor=3.0)
    assert scale_momentum(0.1, 100.0, 1.0, tuning=tuning) == 0.5
    assert sgd_warmup_steps(2.0, 10, tuning=tuning) == 0
    assert sgd_warmup_steps(4.0, 10, tuning=tuning) == 20


def a_curve(tuning: LearningCurveTuning) -> LearningCurve:
    return LearningCurve((1.0, 2.0, 4.0, 8.0, 16.0), (5.0, 4.0, 2.0, 3.0, 1.0), tuning)


def test_means_of_one_evaluation_are_the_evaluations() -> None:
    tuning = LearningCurveTuning(averaged_evaluations=1)
    assert a_curve(tuning).smooth() == a_curve(tuning)
    two = a_curve(LearningCurveTuning(averaged_evaluations=2)).smooth()
    assert two.losses == (5.0, 4.0, 3.0, 2.5, 2.0)
    assert two.tuning.averaged_evaluations == 2


def test_slopes_are_those_of_chords_as_long_as_said() -> None:
    doubling = math.log(2)
    tuning = LearningCurveTuning(
        slope_span_before=doubling, slope_span_after=doubling, end_slope_span=2 * doubling
    )
    curve = a_curve(tuning)
    assert curve.slopes_at(np.array([2.0])) == pytest.approx((5 - 2) / (2 * doubling))
    assert curve.end_slope() == pytest.approx((2 - 1) / (2 * doubling))
    long = LearningCurveTuning(min_end_slope_span=5.0)
    assert a_curve(long).end_slope() is None
    at_end = LearningCurveTuning(min_slope_span=9.0, slope_span_before=2 * doubling)
    assert a_curve(at_end).slopes_at(np.array([16.0])) == pytest.approx((2 - 1) / (2 * doubling))


def test_a_mean_over_a_doubling_is_taken_at_so_many_points() -> None:
    curve = a_curve(LearningCurveTuning(points_per_doubling=1))
    assert curve.smoothed_at(4.0) == pytest.approx((2.0 + 4.0) / 2)


def test_the_search_for_the_largest_size_keeps_to_its_numbers() -> None:
    tuning = MemoryCurveTuning(growth=3, shrink=2, largest_size=100, tolerance=0.5)
    assert MemoryCurve({8: 10}, tuning=tuning).next_size(1000.0) == 24
    assert MemoryCurve({8: 10}, tuning=tuning).next_size(5.0) == 4
    assert MemoryCurve({8: 10, 100: 11}, tuning=tuning).next_size(1000.0) is None
    assert MemoryCurve({1: 10, 2: 11}, tuning=tuning, is_drawn_on=True).largest_fit(1e6) == 100
    assert MemoryCurve({8: 10, 10: 30}, tuning=tuning).next_size(20.0) is None
    steep = {1: 1, 2: 2, 1024: 10_000}
    assert MemoryCurve(steep).next_size(1000.0) != 513
    halving = MemoryCurveTuning(max_chord_points=2)
    assert MemoryCurve(steep, tuning=halving).next_size(1000.0) == 513


def test_an_interval_wider_than_said_is_left_out() -> None:
    small, big = [3.0, 3.5, 2.5, 3.2], [2.0, 2.2, 1.9, 2.1]
    wide = estimate_noise_scale(8, 16, small, big)
    narrow = NoiseScaleTuning(max_interval_factor=1.001)
    none = estimate_noise_scale(8, 16, small, big, tuning=narrow)
    assert wide is not None
    assert wide.interval is not None
    assert none is not None
    assert none.interval is None
    assert none.value == wide.value


def test_updates_that_span_a_small_share_represent_power_where_so_said() -> None:
    reads = [(0.0, 0.0), (0.9, 50.0), (1.0, 60.0)]
    assert mean_power_w(reads, begin_s=0.0, end_s=1.0) is None
    power_w = mean_power_w(reads, begin_s=0.0, end_s=1.0, min_span_share=0.05)
    assert power_w == pytest.approx(100.0)


RATES = [1e-6 * 1.15**n for n in range(120)]
LOSSES = [2 - 1.5 / (1 + 1e-2 / rate) + (rate / 0.3) ** 2 for rate in RATES]


def test_the_suggested_rate_is_below_the_largest_stable_one_by_the_margin() -> None:
    found = estimate_range(RATES, LOSSES, tuning=RangeTestTuning(rate_margin=10.0))
    assert found is not None
    assert found.suggested_rate == pytest.approx(found.largest_stable_rate / 10)
    assert found.interval[0] == pytest.approx(found.suggested_rate / 10)


@pytest.mark.parametrize(
    "tuning",
    [
        RangeTestTuning(max_delay_steps=1.0),
        RangeTestTuning(max_log_delay=0.1),
        RangeTestTuning(response_steps=9),
    ],
)
def test_the_lag_taken_off_follows_delay_and_response(tuning: RangeTestTuning) -> None:
    usual, other = estimate_range(RATES, LOSSES), estimate_range(RATES, LOSSES, tuning=tuning)
    assert usual is not None
    assert other is not None
    assert other.largest_stable_rate != usual.largest_stable_rate


@pytest.mark.parametrize(
    "tuning",
    [
        RangeTestTuning(min_steps=121),
        RangeTestTuning(min_fall_deviations=1e9),
        RangeTestTuning(baseline_share=0.95),
    ],
)
def test_thresholds_of_the_range_test_can_be_out_of_reach(tuning: RangeTestTuning) -> None:
    assert estimate_range(RATES, LOSSES) is not None
    assert estimate_range(RATES, LOSSES, tuning=tuning) is None


REFERENCE = Setting(32, 0.01)
SETTINGS = [Setting(8, 0.01), Setting(32, 0.04), Setting(128, 0.16)]
LEVELS = [
    Level(steps={0: 300.0, 1: 100.0}, missed={2: 200.0}, slope=Slope(steepness=1.0, exponent=0.1)),
    Level(steps={0: 900.0, 1: 400.0}, missed={2: 200.0}, slope=Slope(steepness=3.0, exponent=0.5)),
    Level(steps={0: 1500.0, 1: 10.0}, missed={2: 200.0}, slope=Slope(steepness=1.0, exponent=0.5)),
]

EARLIER = Prior(
    answer_count=1,
    critical_batch_size=LogEstimate(median=64.0, log_deviation=0.5),
    largest_rate=LogEstimate(median=0.2, log_deviation=0.5),
)


def a_fit(tuning: ScalingTuning) -> ScalingLaw:
    return fit_scaling_law(
        REFERENCE,
        SETTINGS,
        LEVELS,
        is_adaptive=True,
        exponent=0.5,
        broken=(2,),
        noise_scale=estimate_noise_scale(8, 16, [3.0, 3.5, 2.5], [2.0, 2.2, 1.9]),
        prior=pool_priors([EARLIER], tuning=tuning),
        tuning=tuning,
    )


def predictions(law: ScalingLaw) -> list[float]:
    return [float(law.mean(law.log_steps(s.batch_size, s.learning_rate))) for s in SETTINGS]


@pytest.mark.parametrize("name", [field.name for field in fields(ScalingTuning)])
def test_every_number_of_the_fit_changes_what_it_predicts(name: str) -> None:
    usual = ScalingTuning()
    changes: dict[str, object] = {
        "grid_points": (9, 7, 3, 2),
        "max_noise_share": 0.1,
        "max_square_misfit": 0.01,
        "negligible_probability": 0.9,
    }
    value = changes[name] if name in changes else 1.5 * getattr(usual, name)
    changed = replace(usual, **{name: value})  # type: ignore[arg-type]
    assert predictions(a_fit(changed)) != pytest.approx(predictions(a_fit(usual)), rel=1e-9)


def test_with_nothing_seen_the_medians_are_those_of_the_prior() -> None:
    tuning = ScalingTuning(rate_median=3.0, batch_median=5.0, noise_median=7.0)
    law = fit_scaling_law(REFERENCE, [], [], is_adaptive=True, exponent=0.5, tuning=tuning)

    def median(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return math.exp(float(law.mean(np.log(values))))

    assert median(law.largest_rate) == pytest.approx(3 * REFERENCE.learning_rate)
    assert median(law.critical_batch_size) == pytest.approx(5 * REFERENCE.batch_size)
    assert median(law.noise_scale) == pytest.approx(7 * REFERENCE.batch_size)


def test_the_knee_may_be_short_of_the_best_by_so_much() -> None:
    times_s = {32: 0.32, 64: 64 / 190, 128: 128 / 196, 256: 256 / 197}
    knees = [
        StepTimeCurve(times_s, 0.0, StepTimeTuning(knee_share=share)).knee()
        for share in (0.0, 0.01, 0.05, 0.5)
    ]
    assert knees == [256, 128, 64, 32]


def test_a_training_curve_averages_over_the_ratio() -> None:
    tuning = TrainingCurveTuning(window_ratio=4.0)
    curve = training_curve([1, 2, 3, 4], [8.0, 4.0, 2.0, 1.0], 1.0, tuning=tuning)
    assert curve is not None
    assert curve.losses[-1] == pytest.approx((4.0 + 2.0 + 1.0) / 3)
