"""Plain Optuna: its default sampler over a wide space, each trial a complete short training."""

from __future__ import annotations

import math

import optuna
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.sampling import BATCH_SIZES, LEARNING_RATES, TRIALS
from benchmarks.trainings_bench.question import Answer, Question


def plain_optuna(question: Question) -> Answer:
    """Return the trial of the lowest loss.

    All trials have the training's schedule and equal modelled time, a tenth of what is allowed. One
    whose single step takes longer is made all the same, while any time is left.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=TPESampler(seed=question.case.seed))
    spent_s, found = 0.0, dict[Setting, float]()
    each_s = question.allowed_s / TRIALS
    # What rounding to whole steps adds up to is no further trial.
    while spent_s < question.allowed_s - each_s / 2:
        trial = study.ask()
        setting = Setting(
            trial.suggest_int("batch_size", *BATCH_SIZES, log=True),
            trial.suggest_float("learning_rate", *LEARNING_RATES, log=True),
        )
        step_time_s = question.times.step_time_s(setting.batch_size)
        count = max(1, round((each_s - question.times.evaluation_s) / step_time_s))
        _, losses = question.trainer.train(*setting, count, (), question.schedule.over(count))
        loss = losses[-1] if losses else math.inf
        spent_s += count * step_time_s + question.times.evaluation_s
        if math.isfinite(loss):
            study.tell(trial, loss)
            found[setting] = loss
        else:
            study.tell(trial, state=TrialState.FAIL)
    best = min(found, key=found.__getitem__, default=None)
    return Answer(setting=best, cost_s=spent_s, trial_count=len(study.trials))
