"""A loss that is not finite is no success: where it is said to be, and what the answer then is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bsadvise.model.advice import Advice, Confidence, Evidence
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Command
from bsadvise.model.measurements import Measurement, TrainRun, Verification
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from tests.planning.conftest import Recommend
from tests.support.builders import a_profile
from tests.support.simulated_device import SimulatedDevice

FRESH = Caveat(code=CaveatCode.FIRST_LOSS_NOT_FINITE, text="The loss of fresh weights is nan.")


class BrokenDevice(SimulatedDevice):
    """Losses are not finite: of trainings after some steps, or of the verification."""

    trained_steps: int | None = None
    verified_steps: int | None = None

    def measure(self, command: Command) -> Measurement:
        entry = super().measure(command)
        match entry.outcome:
            case TrainRun() if self.trained_steps is not None:
                steps = self.trained_steps
                run = TrainRun(step_count=steps, sample_count=steps, train_losses=(), diverged=True)
                return replace(entry, outcome=run)
            case Verification() if self.verified_steps is not None:
                run_again = replace(
                    entry.outcome, final_loss=None, not_finite_step=self.verified_steps
                )
                return replace(entry, outcome=run_again)
        return entry


def advice_of(recommend: Recommend, device: SimulatedDevice) -> Advice:
    answer, _ = recommend(device)
    assert isinstance(answer, Advice)
    return answer


def text_of(advice: Advice, code: CaveatCode) -> str:
    (caveat,) = (caveat for caveat in advice.caveats if caveat.code == code)
    return caveat.text


def broken(**profile: Any) -> BrokenDevice:
    return BrokenDevice(profile=a_profile(**profile), fixed_time_s=0.02, sample_time_s=2e-4)


def test_a_setting_whose_loss_is_not_finite_is_not_verified(recommend: Recommend) -> None:
    device = broken()
    sound = advice_of(recommend, device)
    device.verified_steps = 5
    advice = advice_of(recommend, device)
    assert (sound.verified, sound.lr_evidence) == (True, Evidence.MEASURED)
    assert (advice.verified, advice.lr_evidence) == (False, Evidence.RULE)
    assert advice.confidence is Confidence.LOW
    assert advice.measured_peak_bytes is not None  # Memory and speed stand.
    assert advice.samples_per_s == sound.samples_per_s
    text = text_of(advice, CaveatCode.VERIFICATION_LOSS_NOT_FINITE)
    assert "at step 5" in text
    assert "learning rate that is too large" in text


def test_where_no_trial_is_finite_memory_and_speed_alone_are_answered(
    recommend: Recommend,
) -> None:
    device = broken()
    device.trained_steps, device.verified_steps = 3, 3
    advice = advice_of(recommend, device)
    assert (advice.verified, advice.lr_evidence) == (False, Evidence.RULE)
    assert advice.samples_per_s is not None
    text = text_of(advice, CaveatCode.ALL_TRIALS_DIVERGED)
    assert "memory and speed alone" in text
    assert "by step 3" in text


def test_a_reference_that_diverges_is_said_while_others_train(recommend: Recommend) -> None:
    optimizer = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)
    advice = advice_of(recommend, broken(optimizer=optimizer, reference_learning_rate=64.0))
    assert advice.verified
    text = text_of(advice, CaveatCode.REFERENCE_DIVERGED)
    assert "by step" in text
    assert "learning rate that is too large" in text


@pytest.mark.parametrize(
    ("profile", "step", "cause"),
    [
        ({}, 1, "the learning rate is not the cause"),
        ({"caveats": (FRESH,)}, 7, "the learning rate is not the cause"),
        ({"precision": "fp16"}, 7, "float16"),
        ({}, 7, "learning rate that is too large"),
    ],
)
def test_the_likely_cause_is_told_by_the_step_and_the_precision(
    recommend: Recommend, profile: dict[str, Any], step: int, cause: str
) -> None:
    device = broken(**profile)
    device.trained_steps = device.verified_steps = step
    advice = advice_of(recommend, device)
    for code in (CaveatCode.ALL_TRIALS_DIVERGED, CaveatCode.VERIFICATION_LOSS_NOT_FINITE):
        assert cause in text_of(advice, code)
