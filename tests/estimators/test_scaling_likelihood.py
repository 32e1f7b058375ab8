"""The likelihood of a grid of laws, against the same sum written out law by law."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.estimators.scaling_law import Array, ScalingLaw, Setting, Slope
from advisor.estimators.scaling_likelihood import LawGrid, Level, Trainings
from advisor.estimators.scaling_tuning import ScalingTuning

RATES, SIZES = st.floats(1e-3, 3.0), st.integers(4, 512)
SETTINGS = st.lists(st.builds(Setting, SIZES, RATES), min_size=2, max_size=6)
LEVELS = 12

TUNING = ScalingTuning()


@st.composite
def seen(draw: st.DrawFn) -> tuple[list[Setting], list[Level]]:
    """Return settings, and levels to which each of them came, or not, or that say nothing of it."""
    found = draw(SETTINGS)
    levels = []
    for _ in range(draw(st.integers(1, LEVELS))):
        kinds = draw(st.lists(st.sampled_from("rmn"), min_size=len(found), max_size=len(found)))
        counts = [draw(st.floats(1.0, 3000.0)) for _ in found]
        levels.append(
            Level(
                steps={0: counts[0]} | {n: c for n, c in enumerate(counts) if kinds[n] == "r"},
                missed={n: c for n, c in enumerate(counts) if n and kinds[n] == "m"},
                slope=Slope(
                    steepness=draw(st.floats(1.0, 5.0)), exponent=draw(st.floats(0.05, 1.5))
                ),
            )
        )
    return found, levels


def a_grid(noise_scales: list[float]) -> LawGrid:
    return LawGrid(
        largest_rates=np.geomspace(0.05, 5.0, 4),
        critical_batch_sizes=np.geomspace(8.0, 500.0, 3),
        noise_scales=np.array(noise_scales),
        steepnesses=np.array([0.7, 1.0, 1.4]),
    )


def written_out(
    grid: LawGrid, trained: list[Setting], levels: list[Level], lag: float
) -> list[float]:
    """Return the log likelihood of each law, in the order of the grid's axes."""
    axes = (grid.largest_rates, grid.critical_batch_sizes, grid.noise_scales, grid.steepnesses)
    return [
        -0.5 * sum(_misfit(_law(*parameters), trained, level, lag) for level in levels)
        for parameters in itertools.product(*axes)
    ]


def _law(rate: float, size: float, noise: float, steepness: float) -> ScalingLaw:
    one = [np.array([value]) for value in (rate, size, noise, steepness)]
    return ScalingLaw(
        probabilities=np.ones(1),
        largest_rate=one[0],
        critical_batch_size=one[1],
        noise_scale=one[2],
        steepness=one[3],
        exponent=0.5,
        max_noise_share=TUNING.max_noise_share,
    )


def _misfit(law: ScalingLaw, trained: list[Setting], level: Level, lag: float) -> float:
    def rest(number: int, steps: float) -> float:
        one = trained[number]
        expected = law.log_steps(one.batch_size, one.learning_rate, level.slope)
        return math.log(steps) - float(expected[0])

    precisions = {n: 1 / (TUNING.misfit**2 + (1 + lag**2) / k**2) for n, k in level.steps.items()}
    flow = sum(precisions[n] * rest(n, k) for n, k in level.steps.items())
    flow /= sum(precisions.values())
    total = sum(precisions[n] * min((rest(n, k) - flow) ** 2, 1) for n, k in level.steps.items())
    for number, steps in level.missed.items():
        early = max(0.0, rest(number, steps) - flow)
        total += min(early**2, 1) / (TUNING.misfit**2 + lag**2 / steps**2)
    return total


@settings(max_examples=60, deadline=None)
@given(seen=seen(), lag=st.sampled_from([0.0, 9.0]), adapts=st.booleans())
def test_it_is_that_of_every_law_by_itself(
    seen: tuple[list[Setting], list[Level]], lag: float, *, adapts: bool
) -> None:
    trained, levels = seen
    grid = a_grid([0.5, 20.0, 900.0] if adapts else [0.0])
    weights = dict.fromkeys(range(len(trained)), 1.0)
    logs = Trainings(trained, levels, weights, lag, TUNING).log_likelihoods(
        np.zeros(grid.shape), grid
    )
    expected = np.array(written_out(grid, trained, levels, lag))
    assert _probabilities(logs.ravel()) == pytest.approx(_probabilities(expected), abs=1e-9)
    kept = np.isfinite(logs.ravel())
    assert logs.ravel()[kept] == pytest.approx(expected[kept], abs=1e-6)


def test_levels_that_compare_nothing_leave_the_prior() -> None:
    grid = a_grid([1.0, 10.0])
    prior = np.linspace(-3, 0, math.prod(grid.shape)).reshape(grid.shape)
    assert Trainings([], [], {}, 0.0, TUNING).log_likelihoods(prior, grid) == pytest.approx(prior)


def test_laws_that_differ_in_what_a_target_does_not_know_are_one_there() -> None:
    columns = np.array(list(itertools.product((0.1, 1.0), (10.0, 90.0), (1.0, 5.0), (0.8, 1.2))))
    weights = np.arange(1.0, len(columns) + 1)
    law = ScalingLaw(
        probabilities=weights / weights.sum(),
        largest_rate=columns[:, 0],
        critical_batch_size=columns[:, 1],
        noise_scale=columns[:, 2],
        steepness=columns[:, 3],
        exponent=0.5,
        max_noise_share=TUNING.max_noise_share,
    )
    one = law.at_target
    assert len(one.probabilities) == len(columns) / 2
    assert one.probabilities.sum() == pytest.approx(1)
    assert one.mean(one.log_steps(32, 0.2)) == pytest.approx(law.mean(law.log_steps(32, 0.2)))
    of_columns, column_of = one.columns
    assert of_columns.log_slowdown(32, 0.2)[column_of] == pytest.approx(one.log_slowdown(32, 0.2))


def _probabilities(logs: Array) -> Array:
    result: Array = np.exp(logs - logs.max())
    normalised: Array = result / result.sum()
    return normalised
