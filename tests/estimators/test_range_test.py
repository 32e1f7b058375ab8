"""A range test finds the edge of stability where it was planted, and none in noise."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.estimators.range_test import estimate_range, smooth

STEPS = 120


def rates(smallest: float = 1e-6, largest: float = 10.0, count: int = STEPS) -> list[float]:
    return [smallest * (largest / smallest) ** (i / (count - 1)) for i in range(count)]


def quadratic(
    learning_rates: Sequence[float],
    curvatures: Sequence[float],
    *,
    gradient_noise: float,
    momentum: float = 0.0,
    seed: int = 0,
    most: float = 4.0,
) -> list[float]:
    """Return the losses ½Σhx² of noisy gradient descent, up to ``most`` times the first."""
    rng = random.Random(seed)
    x = [1.0 / math.sqrt(h) for h in curvatures]
    velocity = [0.0] * len(x)
    losses: list[float] = []
    for rate in learning_rates:
        loss = sum(h * v * v for h, v in zip(curvatures, x, strict=True)) / 2
        losses.append(loss)
        if not loss < most * losses[0]:
            break
        for k, h in enumerate(curvatures):
            gradient = h * x[k] + gradient_noise * math.sqrt(h) * rng.gauss(0, 1)
            velocity[k] = momentum * velocity[k] + gradient
            x[k] -= rate * velocity[k]
    return losses


def best_constant_rate(
    curvatures: Sequence[float], gradient_noise: float, momentum: float
) -> float:
    """Return the rate, of a grid by two below the edge, whose loss is least after 300 steps."""
    edge = 2 * (1 + momentum) / max(curvatures)

    def final_loss(rate: float) -> float:
        losses = quadratic(
            [rate] * 300, curvatures, gradient_noise=gradient_noise, momentum=momentum
        )
        return sum(losses[-50:]) / 50 if len(losses) == 300 else math.inf

    return min((edge * 2.0**-k for k in range(1, 12)), key=final_loss)


@pytest.mark.parametrize("sharpest", [0.3, 3.0, 300.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("gradient_noise", [0.03, 0.3])
def test_the_suggestion_is_stable_and_near_the_best_constant_rate(
    sharpest: float, momentum: float, gradient_noise: float
) -> None:
    curvatures = [sharpest * 2.0**-k for k in range(6)]
    best = best_constant_rate(curvatures, gradient_noise, momentum)
    for seed in range(3):
        learning_rates = rates()
        losses = quadratic(
            learning_rates, curvatures, gradient_noise=gradient_noise, momentum=momentum, seed=seed
        )
        found = estimate_range(learning_rates[: len(losses)], losses)
        assert found is not None
        assert found.suggested_rate < 2 * (1 + momentum) / sharpest
        assert 1 / 8 <= found.suggested_rate / best <= 8


def falling_then_rising(seed: int, noise: float = 0.02) -> list[float]:
    rng = random.Random(seed)
    curve = [2 - 1.5 / (1 + (1e-2 / rate)) + (rate / 0.3) ** 2 for rate in rates()]
    return [loss + rng.gauss(0, noise) for loss in curve]


@given(
    seed=st.integers(0, 1000),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
    unit=st.floats(1e-3, 1e3),
)
def test_units_of_loss_and_rate_do_not_matter(
    seed: int, scale: float, shift: float, unit: float
) -> None:
    losses = falling_then_rising(seed)
    found = estimate_range(rates(), losses)
    changed = estimate_range(
        [unit * rate for rate in rates()], [scale * (loss + shift) for loss in losses]
    )
    assert found is not None
    assert changed is not None
    assert changed.suggested_rate == pytest.approx(unit * found.suggested_rate, rel=1e-6)


@given(losses=st.lists(st.floats(-1e3, 1e3), min_size=STEPS, max_size=STEPS))
@settings(max_examples=60)
def test_what_is_suggested_lies_in_order_within_what_was_tried(losses: list[float]) -> None:
    found = estimate_range(rates(), losses)
    if found is not None:
        assert rates()[0] <= found.largest_stable_rate <= rates()[-1]
        low, high = found.interval
        assert low < found.suggested_rate < high == found.largest_stable_rate


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.floats(0, 20))
def test_smoothing_keeps_within_its_values_and_keeps_a_level(
    losses: list[float], delay_steps: float
) -> None:
    smoothed = smooth(losses, delay_steps)
    assert min(losses) - 1e-9 <= min(smoothed)
    assert max(smoothed) <= max(losses) + 1e-9
    assert smooth([losses[0]] * 5, delay_steps) == pytest.approx([losses[0]] * 5)
    assert smooth(losses, 0) == pytest.approx(losses)


def test_one_loss_far_out_moves_nothing_far() -> None:
    losses = falling_then_rising(0)
    clean = estimate_range(rates(), losses)
    with_outlier = [50.0 if i == 70 else loss for i, loss in enumerate(losses)]
    found = estimate_range(rates(), with_outlier)
    assert clean is not None
    assert found is not None
    assert 1 / 3 <= found.suggested_rate / clean.suggested_rate <= 3


def test_the_same_edge_is_found_at_another_pace() -> None:
    found = []
    for count in (80, 120, 200):
        learning_rates = rates(count=count)
        losses = quadratic(learning_rates, [1.0, 0.25, 0.1], gradient_noise=0.1)
        estimate = estimate_range(learning_rates[: len(losses)], losses)
        assert estimate is not None
        found.append(estimate.largest_stable_rate)
    assert max(found) / min(found) <= 3


def test_noise_alone_gives_no_estimate() -> None:
    without = 0
    for seed in range(100):
        rng = random.Random(seed)
        without += estimate_range(rates(), [rng.gauss(2, 0.1) for _ in range(STEPS)]) is None
    assert without >= 90


@pytest.mark.parametrize(
    "losses", [[2.0] * STEPS, [math.nan] * STEPS, [2.0, 1.0, 0.5], [], [1.1**i for i in range(60)]]
)
def test_flat_undefined_short_and_rising_losses_give_no_estimate(losses: list[float]) -> None:
    assert estimate_range(rates()[: len(losses)], losses) is None


def test_losses_after_one_that_is_not_finite_do_not_count() -> None:
    losses = falling_then_rising(1)
    cut = [*losses[:110], math.inf, *([0.0] * (STEPS - 111))]
    assert estimate_range(rates(), cut) == estimate_range(rates()[:110], losses[:110])


def test_rates_must_rise() -> None:
    with pytest.raises(ValueError, match="rise"):
        estimate_range([1.0, 1.0], [1.0, 1.0])
