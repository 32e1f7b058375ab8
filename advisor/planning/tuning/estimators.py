"""Tuned numbers of the estimators that the stages share."""

from __future__ import annotations

from dataclasses import dataclass, field

from advisor.estimators.horizon_tuning import HorizonTuning
from advisor.estimators.learning_curve import LearningCurveTuning
from advisor.estimators.memory_curve import MemoryCurveTuning
from advisor.estimators.noise_scale import NoiseScaleTuning
from advisor.estimators.range_test import RangeTestTuning
from advisor.estimators.scaling_tuning import ScalingTuning
from advisor.estimators.timing import StepTimeTuning
from advisor.estimators.training_curve import TrainingCurveTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorsTuning:
    """Tuned numbers of ``advisor.estimators``, each documented with its estimator.

    Attributes:
        horizon: Priors and tolerances of the horizon law.
        learning_curve: Means and slopes of learning curves.
        memory_curve: The search for the largest micro-batch.
        noise_scale: How wide an interval of the noise scale may be.
        range_test: What is read from a range test.
        scaling: Priors, grid and tolerances of the scaling model's fit.
        step_time: What the knee of the step times is.
        training_curve: Over how many steps training losses are averaged.
    """

    horizon: HorizonTuning = field(default_factory=HorizonTuning)
    learning_curve: LearningCurveTuning = field(default_factory=LearningCurveTuning)
    memory_curve: MemoryCurveTuning = field(default_factory=MemoryCurveTuning)
    noise_scale: NoiseScaleTuning = field(default_factory=NoiseScaleTuning)
    range_test: RangeTestTuning = field(default_factory=RangeTestTuning)
    scaling: ScalingTuning = field(default_factory=ScalingTuning)
    step_time: StepTimeTuning = field(default_factory=StepTimeTuning)
    training_curve: TrainingCurveTuning = field(default_factory=TrainingCurveTuning)
