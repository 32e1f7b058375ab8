"""Tuned numbers of the search over trials: which are affordable, how long they train, and all."""

from __future__ import annotations

from dataclasses import dataclass, field

from advisor.planning.tuning.comparison import (
    LossLevelsTuning,
    RankingTuning,
    SeedVarianceTuning,
    TrialCurveTuning,
)
from advisor.planning.tuning.suggestion import (
    AcquisitionTuning,
    NeighboursTuning,
    SuggestTuning,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSizesTuning:
    """Which effective batches may be tried.

    Attributes:
        min_trial_steps: Steps, at least 1, that fit into ``trial_share`` of the longest trial at
            any batch that is tried. Rule of thumb, not tuned.
        trial_share: See ``min_trial_steps``; above 0 and at most 1. Rule of thumb, not tuned.
        unknown_dataset_size: Samples that a data set of unknown size is taken to have, at least 1.
            Rule of thumb, not tuned.
        min_middle_ratio: Ratio of two batch sizes, at least 1, above which the one in their middle
            may be tried too. Rule of thumb, not tuned.
    """

    min_trial_steps: int = 6
    trial_share: float = 0.8
    unknown_dataset_size: int = 1 << 20
    min_middle_ratio: float = 1.5

    def __post_init__(self) -> None:
        """Refuse counts of nothing and shares out of range.

        Raises:
            ValueError: A value is out of its range.
        """
        if min(self.min_trial_steps, self.unknown_dataset_size) < 1:
            raise ValueError("min_trial_steps and unknown_dataset_size must be at least 1")
        if not (0 < self.trial_share <= 1 <= self.min_middle_ratio):
            raise ValueError("trial_share must be above 0, min_middle_ratio at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RungScheduleTuning:
    """How the budget is divided into trials and rungs, and where a rung evaluates.

    Chosen by hand on the ten development workloads of benchmarks/README.md.
    ``python -m benchmarks.replay WORKLOAD…`` prints the time to target that they lead to, and
    ``python -m benchmarks.answers --check`` whether a change of them changes any.

    Attributes:
        trials_share: Share of the budget for all trials, above 0 and at most 1.
        stated_share: Of the modelled time of a training whose length was stated, above 0: the most
            that trials at a constant rate take, before complete ones are made. Not tuned.
        min_stated_steps: Steps of the reference, at least 1, for which they may last however short
            the training. Rule of thumb, not tuned.
        constant_rate_share: Share of the time for trials, above 0 and at most 1, that trials at a
            constant rate take where a length was stated. Rule of thumb, not tuned.
        exploration_share: Share of the time for trials, from 0 to 1, after which no setting is
            tried for what it might teach.
        horizons_per_budget: The time for all trials over the longest that one is trained; at least
            1.
        first_rungs_per_horizon: That longest time over the reference's first rung; at least 1.
        only_rungs_per_horizon: The same where a trial cannot go on from a checkpoint, so that its
            first rung is all of it; at least 1. Half the longest time leaves four trials beside the
            reference. Rule of thumb, not tuned.
        late_first_rung_share: Share of the time spent on trainings, at least 0, that the first rung
            of a later trial takes: it is compared with trials that were trained for long.
        min_first_rung_steps: Steps of a first rung, at least 1: in fewer a setting shows nothing.
            Rule of thumb, not tuned.
        reference_share: Share of the time for trials, above 0, after which the reference run is cut
            short on a machine that is slower than it was timed. Rule of thumb, not tuned.
        min_rung_s: Seconds, above 0, that any rung is given. Rule of thumb, not tuned.
        min_slowdown_s: Modelled seconds, above 0, from which on a trial tells by what factor longer
            trainings are slower than timed steps. Rule of thumb, not tuned.
        evaluation_batch_size: Samples a batch of the held-out loss, at least 1. Rule of thumb, not
            tuned.
        evaluation_share: Share of a rung's time, at least 0, that its evaluations may take. Rule of
            thumb, not tuned.
        min_evaluations: Evaluations within a rung that are made whatever they take; at least 1.
        evaluation_factor: Ratio of the times of two evaluations, above 1; a power of it where they
            take long.
        earliest_evaluation_share: Of a trial's steps, above 0 and below 1: no evaluation is made
            sooner.
    """

    trials_share: float = 0.75
    stated_share: float = 0.02
    min_stated_steps: int = 100
    constant_rate_share: float = 0.3
    exploration_share: float = 0.6
    horizons_per_budget: float = 2.5
    first_rungs_per_horizon: float = 4.0
    only_rungs_per_horizon: float = 2.0
    late_first_rung_share: float = 0.25
    min_first_rung_steps: int = 6
    reference_share: float = 0.25
    min_rung_s: float = 0.1
    min_slowdown_s: float = 0.5
    evaluation_batch_size: int = 256
    evaluation_share: float = 0.15
    min_evaluations: int = 1
    evaluation_factor: float = 2**0.25
    earliest_evaluation_share: float = 1 / 32

    def __post_init__(self) -> None:
        """Refuse rungs without a length, and evaluations that would not end.

        Raises:
            ValueError: A value is out of its range.
        """
        counts = (self.min_first_rung_steps, self.evaluation_batch_size, self.min_evaluations)
        if min(counts) < 1:
            raise ValueError("counts and sizes must be at least 1")
        if not (0 < self.trials_share <= 1 and 0 <= self.exploration_share <= 1):
            raise ValueError("trials_share and exploration_share must be from 0 to 1")
        rungs = (self.first_rungs_per_horizon, self.only_rungs_per_horizon)
        if not min(self.horizons_per_budget, *rungs) >= 1:
            raise ValueError("horizons_per_budget and rungs_per_horizon must be at least 1")
        if not min(self.late_first_rung_share, self.evaluation_share) >= 0:
            raise ValueError("late_first_rung_share and evaluation_share must be at least 0")
        if not min(self.reference_share, self.min_rung_s, self.min_slowdown_s) > 0:
            raise ValueError("reference_share, min_rung_s and min_slowdown_s must be above 0")
        if not (self.evaluation_factor > 1 and 0 < self.earliest_evaluation_share < 1):
            raise ValueError("evaluation_factor must be above 1, the earliest share below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSearchTuning:
    """Which trials are trained on, for how long, and how often again.

    Chosen by hand on the ten development workloads of benchmarks/README.md.
    ``python -m benchmarks.replay WORKLOAD…`` prints the time to target that they lead to, and
    ``python -m benchmarks.answers --check`` whether a change of them changes any.

    Attributes:
        target_slack: Once a trial has reached the target, others are trained for up to so many
            times its seconds; at least 1.
        max_leaders: Trials that are trained on at a time, at least 1.
        max_leader_gap: Doublings of time, at least 0, that a leader may be behind the best.
        growths: Factors, each above 1, by which a leader's training is lengthened: the first that
            the budget leaves. Few and fixed, so that a machine that is a little slower plans the
            same.
        first_shares: Shares, each above 0 and at most 1, of a first rung that a trial begins with:
            the first that the budget leaves. Likewise few and fixed.
        trusted_trainings: Trainings, at least 1, after which the time to target of the best setting
            and of the reference is trusted.
        max_trainings: The most trainings of a setting while others may yet be better; at least 1.
        replicate_slack: Seconds that a replicate may take over its setting's first time to target;
            at least 1.
        same_rate_tolerance: Relative difference of multipliers, above 0, below which settings of
            one batch size are the same. Rates are rounded to three digits. Not tuned.
        depths_per_doubling: Classes of trained time in each doubling, at least 1, of which trials
            in the lowest are trained on first. Rule of thumb, not tuned.
    """

    target_slack: float = 1.25
    max_leaders: int = 3
    max_leader_gap: float = 0.7
    growths: tuple[float, ...] = (2.0, 2**0.5, 2**0.25)
    first_shares: tuple[float, ...] = (1.0, 2**-0.5, 0.5)
    trusted_trainings: int = 3
    max_trainings: int = 5
    replicate_slack: float = 2.0
    same_rate_tolerance: float = 0.02
    depths_per_doubling: int = 2

    def __post_init__(self) -> None:
        """Refuse trainings that do not grow, and counts of nothing.

        Raises:
            ValueError: A value is out of its range.
        """
        if not (self.growths and all(growth > 1 for growth in self.growths)):
            raise ValueError("growths must be above 1")
        if not (self.first_shares and all(0 < share <= 1 for share in self.first_shares)):
            raise ValueError("first_shares must be above 0 and at most 1")
        counts = (self.max_leaders, self.trusted_trainings, self.max_trainings)
        if min(*counts, self.depths_per_doubling) < 1:
            raise ValueError("counts must be at least 1")
        if not min(self.target_slack, self.replicate_slack) >= 1:
            raise ValueError("target_slack and replicate_slack must be at least 1")
        if not (self.max_leader_gap >= 0 and self.same_rate_tolerance > 0):
            raise ValueError("max_leader_gap must be at least 0, same_rate_tolerance above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTestStageTuning:
    """How a range test is made; ``advisor.estimators.range_test`` has the numbers that read it.

    Attributes:
        max_steps: Steps of the test, at least ``min_steps``. Rule of thumb, not tuned.
        min_steps: Steps, at least 1, below which it is not made: the rate would grow faster than
            the loss can respond (``advisor.estimators.range_test``).
        time_share: Share of the seconds that are left, above 0, which its steps may take. Rule of
            thumb, not tuned.
        max_slowdown: It ends after so many times what its steps were timed to take; at least 1.
            Rule of thumb, not tuned.
        min_rate_factor: The first rate over the default of the optimizer's class, above 0. Rule of
            thumb, not tuned.
        max_sgd_rate_factor: The last rate over the default of SGD, above ``min_rate_factor``: the
            default is a placeholder, far too small for most losses. Rule of thumb, not tuned.
        max_rate_factor: The last rate over the default of other optimizers, above
            ``min_rate_factor``: that default is meant, and they are rarely stable at a rate of 1.
            Rule of thumb, not tuned.
        same_rate_tolerance: Relative difference, above 0, below which a rate is the suggested one.
            Rates are rounded to three digits. Not tuned.
    """

    max_steps: int = 120
    min_steps: int = 60
    time_share: float = 0.06
    max_slowdown: float = 2.0
    min_rate_factor: float = 1e-3
    max_sgd_rate_factor: float = 1e4
    max_rate_factor: float = 1e3
    same_rate_tolerance: float = 0.01

    def __post_init__(self) -> None:
        """Refuse tests of no steps and of rates that do not rise.

        Raises:
            ValueError: A value is out of its range.
        """
        if not 1 <= self.min_steps <= self.max_steps:
            raise ValueError("min_steps must be at least 1 and at most max_steps")
        if not (self.time_share > 0 and self.max_slowdown >= 1 and self.same_rate_tolerance > 0):
            raise ValueError("time_share must be above 0 and max_slowdown at least 1")
        if not 0 < self.min_rate_factor < min(self.max_sgd_rate_factor, self.max_rate_factor):
            raise ValueError("rate factors must be above 0 and rise")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsTuning:
    """Tuned numbers of ``advisor.planning.trials``.

    Attributes:
        acquisition: Settings that the scaling model predicts for.
        batch_sizes: Which effective batches may be tried.
        curves: How trials are read from the log.
        loss_levels: At which losses curves are compared.
        neighbours: How far neighbours of the best trial are from it.
        range_test: How a range test is made.
        ranking: How short trainings are compared.
        rung_schedule: How the budget is divided.
        search: Which trials are trained on.
        seed_variance: Prior of the seed-to-seed deviation.
        suggest: When which source of suggestions is asked.
    """

    acquisition: AcquisitionTuning = field(default_factory=AcquisitionTuning)
    batch_sizes: BatchSizesTuning = field(default_factory=BatchSizesTuning)
    curves: TrialCurveTuning = field(default_factory=TrialCurveTuning)
    loss_levels: LossLevelsTuning = field(default_factory=LossLevelsTuning)
    neighbours: NeighboursTuning = field(default_factory=NeighboursTuning)
    range_test: RangeTestStageTuning = field(default_factory=RangeTestStageTuning)
    ranking: RankingTuning = field(default_factory=RankingTuning)
    rung_schedule: RungScheduleTuning = field(default_factory=RungScheduleTuning)
    search: TrialSearchTuning = field(default_factory=TrialSearchTuning)
    seed_variance: SeedVarianceTuning = field(default_factory=SeedVarianceTuning)
    suggest: SuggestTuning = field(default_factory=SuggestTuning)
