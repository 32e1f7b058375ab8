"""Lengths, schedules and warm-ups as people write them."""

from __future__ import annotations

import pytest
from bsadvise.model.horizon import (
    LearningRateSchedule,
    LengthUnit,
    ScheduleShape,
    TrainingLength,
    parse_budget,
    parse_length,
    parse_schedule,
    parse_warmup,
)
from hypothesis import given
from hypothesis import strategies as st

SHAPES = st.sampled_from(list(ScheduleShape))


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("90epochs", 90, LengthUnit.EPOCHS),
        ("1 epoch", 1, LengthUnit.EPOCHS),
        ("200000steps", 200_000, LengthUnit.STEPS),
        ("200k steps", 200_000, LengthUnit.STEPS),
        ("50Msamples", 50e6, LengthUnit.SAMPLES),
        ("1.5B samples", 1.5e9, LengthUnit.SAMPLES),
        ("6h", 21_600, LengthUnit.SECONDS),
        ("90s", 90, LengthUnit.SECONDS),
    ],
)
def test_lengths(text: str, amount: float, unit: LengthUnit) -> None:
    assert parse_length(text) == TrainingLength(amount=amount, unit=unit)


@pytest.mark.parametrize("text", ["", "epochs", "-3epochs", "0epochs", "0s", "3 parsecs", "nan h"])
def test_what_is_no_length_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="90epochs"):
        parse_length(text)


def test_a_bare_number_is_refused_since_it_could_be_any_unit() -> None:
    with pytest.raises(ValueError, match="has no unit"):
        parse_length("90")


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("constant", LearningRateSchedule()),
        ("Linear", LearningRateSchedule(shape=ScheduleShape.LINEAR)),
        ("cosine:0.1", LearningRateSchedule(shape=ScheduleShape.COSINE, final_share=0.1)),
        ("wsd", LearningRateSchedule(shape=ScheduleShape.WSD, decay_share=0.2)),
        ("wsd:0.4", LearningRateSchedule(shape=ScheduleShape.WSD, decay_share=0.4)),
    ],
)
def test_schedules(text: str, schedule: LearningRateSchedule) -> None:
    assert parse_schedule(text) == schedule


@pytest.mark.parametrize(
    "text", ["", "step", "constant:1", "cosine:2", "cosine:", "wsd:0", "wsd:nan", "linear:-1"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"schedule|share"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "warmup"), [("2%", (0.02, None)), ("0%", (0.0, None)), ("500steps", (0.0, 500))]
)
def test_warmups(text: str, warmup: tuple[float, int | None]) -> None:
    assert parse_warmup(text) == warmup


@pytest.mark.parametrize("text", ["", "2", "500", "100%", "-1%", "1e3steps"])
def test_what_is_no_warmup_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"warm-up|peak rate"):
        parse_warmup(text)


@pytest.mark.parametrize(
    ("text", "budget"), [("60s", (60.0, None)), ("5m", (300.0, None)), ("5%", (None, 0.05))]
)
def test_budgets(text: str, budget: tuple[float | None, float | None]) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "5 %%", "0%", "101%", "-5%", "nan%", "five"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|budget|0%"):
        parse_budget(text)


@given(
    shape=SHAPES,
    total=st.integers(1, 2000),
    final_share=st.floats(0, 1),
    decay_share=st.floats(0.01, 1),
    warmup=st.integers(0, 3000),
)
def test_a_schedule_rises_once_and_falls_once_within_its_steps(
    shape: ScheduleShape, total: int, final_share: float, decay_share: float, warmup: int
) -> None:
    schedule = LearningRateSchedule(
        shape=shape, final_share=final_share, decay_share=decay_share, warmup_steps=warmup
    ).over(total)
    assert schedule.warmup_steps + schedule.decay_steps <= schedule.total_steps == total
    rates = [schedule.multiplier(step) for step in range(total)]
    assert max(rates) == 1.0
    assert min(rates) > 0 or final_share == 0
    top = rates.index(1.0)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@given(total=st.integers(1, 500))
def test_a_constant_schedule_is_that_without_the_others(total: int) -> None:
    schedule = LearningRateSchedule().over(total)
    assert {schedule.multiplier(step) for step in range(total)} == {1.0}
