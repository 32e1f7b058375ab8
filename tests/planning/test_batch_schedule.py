"""A batch grows where the noise is seen to grow and the growth pays, and nowhere else."""

from __future__ import annotations

import math

import pytest
from bsadvise.model.advice import BatchStage
from hypothesis import example, given
from hypothesis import strategies as st

from advisor.estimators.noise_scale import NoiseScale
from advisor.planning.answer.batch_schedule import RungNoise, plan_batches

_SIZES = tuple(2**k for k in range(3, 13))
_DATASET_SIZE = 10_000
_noises = st.floats(1e-2, 1e5)


def _rung(first_sample: int, value: float, spread: float = 1.2) -> RungNoise:
    return RungNoise(first_sample, NoiseScale(value, (value / spread, value * spread)))


def _step_time_s(size: int) -> float:
    return 0.01 + 1e-4 * size


def _plan(
    rungs: list[RungNoise], batch_size: int = 128, horizon_samples: int = 40_000
) -> tuple[BatchStage, ...]:
    return plan_batches(
        rungs,
        horizon_samples=horizon_samples,
        reference_batch_size=64,
        batch_size=batch_size,
        batch_sizes=_SIZES,
        step_time_s=_step_time_s,
        dataset_size=_DATASET_SIZE,
        min_saving=0.1,
    )


_GROWING = [_rung(0, 4.0), _rung(10_000, 60.0), _rung(20_000, 4_000.0)]


def test_a_batch_grows_with_the_noise() -> None:
    stages = _plan(_GROWING)
    # sqrt(0.01/1e-4 · 𝓑) is where (1 + 𝓑/B)·t(B) is least: 20, 77, 632.
    assert [stage.effective_batch_size for stage in stages] == [16, 64, 512]
    # Progress n/(64 + 𝓑) on (B + 𝓑) samples for each: 10,000 become 2,941, then 10,000.
    assert [stage.from_epoch for stage in stages] == pytest.approx([0, 0.294, 1.29])


def test_noise_that_stays_keeps_the_batch() -> None:
    assert _plan([_rung(0, 500.0), _rung(10_000, 500.0)]) == ()


def test_growth_within_the_intervals_is_none() -> None:
    rungs = [_rung(0, 4.0, spread=40), _rung(10_000, 4_000.0, spread=40)]
    assert _plan(rungs) == ()
    assert _plan([_rung(0, 4.0, spread=20), _rung(10_000, 4_000.0, spread=20)]) != ()


def test_noise_without_an_interval_tells_nothing() -> None:
    assert _plan([_rung(0, 4.0), RungNoise(10_000, NoiseScale(4_000.0, None))]) == ()
    assert _plan([_rung(0, 4.0)]) == ()
    assert _plan([]) == ()


def test_a_schedule_that_passes_the_chosen_batch_by_is_not_given() -> None:
    assert _plan(_GROWING, batch_size=8) == ()
    assert _plan(_GROWING, batch_size=4096) == ()


def test_a_last_stretch_that_is_nearly_all_of_it_leaves_nothing_to_save() -> None:
    assert _plan(_GROWING, horizon_samples=4_000_000) == ()


@given(
    values=st.lists(_noises, min_size=2, max_size=5),
    chosen=st.sampled_from(_SIZES),
    horizon=st.integers(40_001, 200_000),
)
@example(values=[4.0, 60.0, 4_000.0], chosen=64, horizon=40_001)
@example(values=[1.0, 1e5], chosen=128, horizon=40_001)
def test_a_schedule_grows_saves_a_tenth_and_passes_the_chosen_batch(
    values: list[float], chosen: int, horizon: int
) -> None:
    rungs = [_rung(10_000 * i, value) for i, value in enumerate(values)]
    stages = _plan(rungs, batch_size=chosen, horizon_samples=horizon)
    if not stages:
        return
    sizes = [stage.effective_batch_size for stage in stages]
    epochs = [stage.from_epoch for stage in stages]
    assert epochs[0] == 0
    assert sizes == sorted(set(sizes))
    assert epochs == sorted(epochs)
    assert sizes[0] <= chosen <= sizes[-1]
    growing_s = _walk(stages, values, horizon)
    fixed_s = min(
        _walk((BatchStage(from_epoch=0, effective_batch_size=size),), values, horizon)
        for size in _SIZES
    )
    # Epochs are rounded to three digits.
    assert growing_s <= 0.91 * fixed_s


def _walk(stages: tuple[BatchStage, ...], values: list[float], horizon: int) -> float:
    """Return the seconds of a training that takes its stages by the samples it has seen."""
    time_s = seen = 0.0
    ends = [10_000 * i for i in range(1, len(values))] + [horizon]
    for i, (value, end) in enumerate(zip(values, ends, strict=True)):
        left = (end - 10_000 * i) / (64 + value)
        while left > 0:
            epoch = seen / _DATASET_SIZE
            size = max(s.effective_batch_size for s in stages if s.from_epoch <= epoch + 1e-12)
            later = [s.from_epoch for s in stages if s.from_epoch > epoch + 1e-12]
            room = (later[0] - epoch) * _DATASET_SIZE if later else math.inf
            samples = min(left * (size + value), room)
            time_s += samples / size * _step_time_s(size)
            seen += samples
            left -= samples / (size + value)
            if samples < room:
                break
    return time_s
