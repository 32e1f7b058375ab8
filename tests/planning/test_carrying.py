"""How far a setting is carried from short complete trainings to the stated one, and why."""

from __future__ import annotations

import math

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import Train
from bsadvise.model.explanation import HorizonExplanation
from bsadvise.model.measurements import Log

from advisor.planning.answer.explanation import explain
from advisor.planning.planner import RecommendationPlanner
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_request
from tests.support.lawful_device import LawfulDevice
from tests.support.stated_lengths import (
    LINEAR,
    a_stated_profile,
    advised,
    complete_trainings,
    epochs,
)


def _lawful(**changes: object) -> LawfulDevice:
    profile = a_stated_profile(reference_learning_rate=0.1, reference_batch_size=64)
    return LawfulDevice(profile=profile, sample_time_s=2e-4, **changes)  # type: ignore[arg-type]


def _carried(recommend: Recommend, device: LawfulDevice, **asked: object) -> tuple[Advice, Log]:
    given: dict[str, object] = {"train_for": epochs(90), "schedule": LINEAR, "budget_s": 120.0}
    return advised(recommend, device, **given | asked)


def _explained(
    planner: RecommendationPlanner, device: LawfulDevice, log: Log
) -> HorizonExplanation:
    request = a_request(
        memory_limit_bytes=device.limit_bytes,
        train_for=epochs(90),
        schedule=LINEAR,
        budget_s=120.0,
    )
    explained = explain(planner.read(request, (a_device(),), log)).horizon
    assert explained is not None
    return explained


def _beginnings(log: Log) -> list[Train]:
    commands = [entry.command for entry in log if isinstance(entry.command, Train)]
    complete = complete_trainings(log)
    return [c for c in commands if c.schedule is not None and c not in complete]


def test_a_batch_that_grows_with_the_length_is_carried(
    recommend: Recommend, planner: RecommendationPlanner
) -> None:
    device = _lawful()
    advice, log = _carried(recommend, device)
    explained = _explained(planner, device, log)
    assert explained.batch_reason == (
        "the best batch grew between shorter and longer complete trainings"
    )
    horizon = advice.horizon
    assert horizon is not None
    assert horizon.batch_factor is not None
    assert horizon.batch_factor > 1
    assert horizon.batch_factor == explained.batch_factor
    # Both were begun, for as long.
    sizes = {one.effective_batch_size for one in _beginnings(log)}
    assert sizes == {
        advice.effective_batch_size,
        round(advice.effective_batch_size / horizon.batch_factor),
    }
    # No farther than the law that is planted.
    assert horizon.carried_factor is not None
    assert horizon.batch_factor <= 1.5 * horizon.carried_factor**device.batch_exponent
    kept = round(advice.effective_batch_size / horizon.batch_factor)
    samples = float(horizon.total_samples)

    def worth(size: int) -> float:
        rates = [0.01 * 1.2**step for step in range(40)]
        cost = min(device.cost(size, rate, samples) for rate in rates)
        return cost + math.log(device.step_time_s(size) / size)

    assert worth(advice.effective_batch_size) < worth(kept)


def test_a_batch_that_does_not_grow_stays_what_was_measured(
    recommend: Recommend, planner: RecommendationPlanner
) -> None:
    device = _lawful(batch_exponent=0.0)
    advice, log = _carried(recommend, device)
    assert advice.horizon is not None
    assert advice.horizon.batch_factor == 1
    explained = _explained(planner, device, log)
    assert "did not grow" in explained.batch_reason
    (said,) = [one for one in advice.caveats if one.code == CaveatCode.CARRIED_TO_LENGTH]
    assert explained.batch_reason in said.text
    assert "batch x 1," in said.text
    shorter = [one for one in explained.trainings if not one.is_compared]
    assert len(shorter) == 2
    best = min(
        (one for one in explained.trainings if one.is_compared),
        key=lambda one: one.loss or math.inf,
    )
    assert best.effective_batch_size == advice.effective_batch_size


def test_a_larger_batch_whose_first_steps_fall_behind_is_not_advised(
    recommend: Recommend, planner: RecommendationPlanner
) -> None:
    measured, _ = _carried(recommend, _lawful())
    assert measured.horizon is not None
    kept = round(measured.effective_batch_size / (measured.horizon.batch_factor or 1))
    device = _lawful(beginning_cost=3.0, beginning_batch_size=kept)
    advice, log = _carried(recommend, device)
    assert advice.effective_batch_size == kept
    assert "fell further behind" in _explained(planner, device, log).batch_reason


@pytest.mark.parametrize("exponent", [0.0, 0.56])
def test_a_batch_that_was_asked_for_stays(recommend: Recommend, exponent: float) -> None:
    advice, _ = _carried(
        recommend, _lawful(batch_exponent=exponent), effective_batch_size=64, budget_s=60.0
    )
    assert advice.effective_batch_size == 64
    assert advice.horizon is not None
    assert advice.horizon.batch_factor == 1


def test_an_answer_that_is_carried_says_what_more_budget_would_buy(recommend: Recommend) -> None:
    advice, _ = _carried(recommend, _lawful(batch_exponent=0.0))
    assert advice.outlook is not None
    assert "nothing carried" in advice.outlook
    assert "help little" not in advice.outlook
