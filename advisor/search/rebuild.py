"""An Optuna study made again from a search's trials, ready to be asked for the next one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from advisor.ports.proposer import Study, TrialRecord
from advisor.search.constraints import constraint_options
from advisor.search.sampler import (
    EFFECTIVE_BATCH_SIZE,
    LR_MULTIPLIER,
    ScalingLawSampler,
    make_tpe,
)

Space = dict[str, BaseDistribution]


def rebuild(study: Study) -> tuple[optuna.Study, Space]:
    """Return a study in memory that was told the trials, and the space to ask for.

    What TPE is shown. A trial that ended at the deepest rung any trial has reached is complete,
    with its loss there. Every other trial that has losses is shown as pruned, with them: TPE
    ranks such trials behind the complete ones, by depth first and by loss at one depth, so that
    losses of different depths are never compared. One that broke a constraint counts against
    its neighbourhood whatever its losses say. One that ended with nothing to show comes last.
    Optuna takes no trials outside of the space, and they say least.
    """
    study = _widened(study)
    space = _search_space(study)
    deepest = max((max(trial.losses) for trial in study.trials if trial.losses), default=0)
    told = [_to_trial(trial, deepest, space) for trial in study.trials if _is_inside(trial, study)]
    # A seed for each number of trials: with one seed for all, the random trials would be equal.
    (seed,) = np.random.SeedSequence([study.seed, len(study.trials)]).generate_state(1)
    sampler = ScalingLawSampler(study.suggestion, tpe=make_tpe(int(seed)), trial_number=len(told))
    rebuilt = optuna.create_study(sampler=sampler)
    rebuilt.add_trials(told)
    return rebuilt, space


def _widened(study: Study) -> Study:
    """Return the study with bounds that hold its suggestion: Optuna uses none outside of them."""
    if study.suggestion is None:
        return study
    size = study.suggestion.point.effective_batch_size
    multiplier = study.suggestion.point.lr_multiplier
    return replace(
        study,
        smallest_batch_size=min(study.smallest_batch_size, size),
        largest_batch_size=max(study.largest_batch_size, size),
        smallest_multiplier=min(study.smallest_multiplier, multiplier),
        largest_multiplier=max(study.largest_multiplier, multiplier),
    )


def _search_space(study: Study) -> Space:
    return {
        EFFECTIVE_BATCH_SIZE: IntDistribution(
            study.smallest_batch_size, study.largest_batch_size, log=True
        ),
        LR_MULTIPLIER: FloatDistribution(
            study.smallest_multiplier, study.largest_multiplier, log=True
        ),
    }


def _is_inside(trial: TrialRecord, study: Study) -> bool:
    size, multiplier = trial.point.effective_batch_size, trial.point.lr_multiplier
    return (
        study.smallest_batch_size <= size <= study.largest_batch_size
        and study.smallest_multiplier <= multiplier <= study.largest_multiplier
    )


def _to_trial(trial: TrialRecord, deepest: int, space: Space) -> FrozenTrial:
    """Return a trial as TPE should see it; ``rebuild`` says how and why."""
    is_complete = not trial.was_pruned and deepest in trial.losses
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if is_complete else TrialState.PRUNED,
        value=trial.losses[deepest] if is_complete else None,
        params={
            EFFECTIVE_BATCH_SIZE: trial.point.effective_batch_size,
            LR_MULTIPLIER: trial.point.lr_multiplier,
        },
        distributions=space,
        intermediate_values=dict(trial.losses),
        **constraint_options(trial.excess),
    )
