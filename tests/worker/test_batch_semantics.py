"""What the loss of a batch is, from the losses of three parts and their unions: laws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from bsadvise.model.task import BatchSemantics
from hypothesis import assume, given
from hypothesis import strategies as st

from advisor.worker.loop.batch_semantics import (
    PAIRS,
    BatchLosses,
    classify,
    is_mean_of_halves,
)

SAMPLE_LOSSES = st.lists(st.floats(0.1, 10.0), min_size=12, max_size=12)
WEIGHTS = st.lists(st.floats(0.05, 20.0), min_size=12, max_size=12)
POWERS = st.integers(-20, 20)

Loss = Callable[[Sequence[int]], float]


def losses_of(loss: Loss, size: int = 4) -> BatchLosses:
    """Return the losses of three parts of ``size`` samples, and of their unions."""
    parts = [range(k * size, (k + 1) * size) for k in range(3)]
    unions = [[*parts[i], *parts[j]] for i, j in PAIRS]
    a, b, c = map(loss, parts)
    ab, bc, ca = map(loss, unions)
    return BatchLosses(parts=(a, b, c), pairs=(ab, bc, ca), whole=loss(range(3 * size)))


def mean(values: Sequence[float], members: Sequence[int]) -> float:
    return math.fsum(values[i] for i in members) / len(members)


@given(SAMPLE_LOSSES)
def test_a_mean_is_a_mean(losses: list[float]) -> None:
    assert classify(losses_of(lambda s: mean(losses, s))) is BatchSemantics.MEAN


@given(SAMPLE_LOSSES, st.floats(0, 1))
def test_a_sum_is_a_sum_also_with_a_penalty_on_the_weights(
    losses: list[float], penalty: float
) -> None:
    found = classify(losses_of(lambda s: math.fsum(losses[i] for i in s) + penalty))
    # A penalty that is nearly all of the loss hides what it is added to.
    assume(penalty <= min(math.fsum(losses[i : i + 4]) for i in (0, 4, 8)))
    assert found is BatchSemantics.SUM


@given(SAMPLE_LOSSES, WEIGHTS)
def test_a_weighted_mean_is_one_or_as_near_the_mean_as_rounding(
    losses: list[float], weights: list[float]
) -> None:
    def loss(members: Sequence[int]) -> float:
        total = math.fsum(weights[i] for i in members)
        return math.fsum(weights[i] * losses[i] for i in members) / total

    measured = losses_of(loss)
    (a, b, c), (ab, bc, ca) = measured.parts, measured.pairs
    deviations = [ab - (a + b) / 2, bc - (b + c) / 2, ca - (c + a) / 2]
    deviations.append(measured.whole - (a + b + c) / 3)
    is_near = max(map(abs, deviations)) <= 1e-4 * measured.scale
    expected = BatchSemantics.MEAN if is_near else BatchSemantics.WEIGHTED_MEAN
    assert classify(measured) is expected


@given(SAMPLE_LOSSES, st.floats(0, 0.3))
def test_a_loss_that_grows_with_the_logarithm_of_the_batch_couples_its_samples(
    losses: list[float], share: float
) -> None:
    found = classify(losses_of(lambda s: math.log(len(s)) + share * mean(losses, s) / 10))
    assert found is BatchSemantics.COUPLED


@given(SAMPLE_LOSSES, WEIGHTS, POWERS)
def test_neither_the_unit_nor_the_order_of_the_parts_matters(
    losses: list[float], weights: list[float], power: int
) -> None:
    for loss in (
        lambda s: mean(losses, s),
        lambda s: math.fsum(losses[i] for i in s),
        lambda s: max(losses[i] for i in s) * mean(weights, s),
    ):
        measured = losses_of(loss)
        (a, b, c), (ab, bc, ca) = measured.parts, measured.pairs
        turned = replace(measured, parts=(b, c, a), pairs=(bc, ca, ab))
        assert classify(turned) is classify(measured)
        unit = 2.0**power
        scaled = BatchLosses(
            parts=(unit * a, unit * b, unit * c),
            pairs=(unit * ab, unit * bc, unit * ca),
            whole=unit * measured.whole,
        )
        assert classify(scaled) is classify(measured)


@given(SAMPLE_LOSSES, st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 11))
def test_losses_that_are_not_finite_tell_nothing(
    losses: list[float], broken: float, place: int
) -> None:
    losses[place] = broken
    assert classify(losses_of(lambda s: sum(losses[i] for i in s))) is None


def test_losses_of_nothing_tell_nothing() -> None:
    assert classify(losses_of(lambda _: 0.0)) is None


@given(SAMPLE_LOSSES, st.lists(st.floats(-3, 3), min_size=7, max_size=7))
def test_what_is_within_its_standard_errors_of_the_mean_is_the_mean(
    losses: list[float], noise: list[float]
) -> None:
    error = 0.05
    draws = iter(noise)
    measured = losses_of(lambda s: mean(losses, s) + error * next(draws) / 2)
    assert classify(replace(measured, error=error)) is BatchSemantics.MEAN


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_batch_is_the_mean_of_its_halves_up_to_rounding(one: float, other: float) -> None:
    middle, scale = (one + other) / 2, max(abs(one), abs(other))
    assume(scale > 1e-3)
    assert is_mean_of_halves(middle * (1 + 1e-6), (one, other))
    assert not is_mean_of_halves(middle + 1e-3 * scale, (one, other))
