"""Proposes trial settings with Optuna's TPE.

Optuna keeps nothing here: each question rebuilds a study in memory from the trials, asks it
once and lets it go. That costs milliseconds and leaves the log the only state.
"""

from __future__ import annotations

import logging
import math
import warnings

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from advisor.ports.proposer import Point, Proposer, Study, TrialRecord
from advisor.search.constraints import constraint_options, sampler_options

_BATCH = "effective_batch_size"
_MULTIPLIER = "lr_multiplier"

# Trials that are drawn at random before TPE models anything. Optuna's default of 10 is the
# whole of a usual search here; and the planner's own trials, which come first, are a spread
# already.
_STARTUP_TRIALS = 4

# Sizes from here on are rounded to whole tiles of the hardware; below, rounding would move
# them too far.
_TILED_FROM = 64
_TILE = 8


class OptunaProposer(Proposer):
    """Asks a TPE sampler over the effective batch size and the learning rate's multiplier.

    What TPE is shown. A trial that ended at the deepest rung any trial has reached is complete,
    with its loss there. Every other trial that has losses is shown as pruned, with them: TPE
    ranks such trials behind the complete ones, by depth first and by loss at one depth, so that
    losses of different depths are never compared. One that broke a constraint counts against
    its neighbourhood whatever its losses say. One that ended with nothing to show comes last.
    """

    def __init__(self) -> None:
        # Optuna announces each study it creates; here that is one for every question.
        logging.getLogger("optuna").setLevel(logging.WARNING)

    def propose(self, study: Study) -> Point:
        """Return the setting of the next trial, within the study's bounds."""
        space = _search_space(study)
        search = optuna.create_study(sampler=_make_sampler(study))
        search.add_trials([_to_trial(trial, study, space) for trial in _inside(study)])
        proposed = search.ask(space).params
        return Point(
            effective_batch_size=_round_batch(proposed[_BATCH], study),
            lr_multiplier=proposed[_MULTIPLIER],
        )


def _search_space(study: Study) -> dict[str, BaseDistribution]:
    return {
        _BATCH: IntDistribution(study.smallest_batch_size, study.largest_batch_size, log=True),
        _MULTIPLIER: FloatDistribution(
            study.smallest_multiplier, study.largest_multiplier, log=True
        ),
    }


def _make_sampler(study: Study) -> TPESampler:
    # A seed for each number of trials: with one seed for all, the random trials would be equal.
    (seed,) = np.random.SeedSequence([study.seed, len(study.trials)]).generate_state(1)
    with warnings.catch_warnings():
        # Optuna 4 calls these options experimental; 5 has most of them as its defaults.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            n_startup_trials=_STARTUP_TRIALS,
            seed=int(seed),
            multivariate=True,
            **sampler_options(),
        )


def _inside(study: Study) -> list[TrialRecord]:
    """Return the trials within the bounds; Optuna takes no others, and they say least."""
    return [
        trial
        for trial in study.trials
        if study.smallest_batch_size <= trial.point.effective_batch_size <= study.largest_batch_size
        and study.smallest_multiplier <= trial.point.lr_multiplier <= study.largest_multiplier
    ]


def _to_trial(trial: TrialRecord, study: Study, space: dict[str, BaseDistribution]) -> FrozenTrial:
    """Return a trial as TPE should see it; the class's docstring says how and why."""
    state = _state_of(trial, study)
    return optuna.trial.create_trial(
        state=state,
        value=trial.losses[max(trial.losses)] if state is TrialState.COMPLETE else None,
        params={
            _BATCH: trial.point.effective_batch_size,
            _MULTIPLIER: trial.point.lr_multiplier,
        },
        distributions=space,
        intermediate_values=dict(trial.losses),
        **constraint_options(trial.excess),
    )


def _state_of(trial: TrialRecord, study: Study) -> TrialState:
    deepest = max((max(other.losses) for other in study.trials if other.losses), default=0)
    is_complete = not trial.was_pruned and deepest in trial.losses
    return TrialState.COMPLETE if is_complete else TrialState.PRUNED


def _round_batch(batch_size: int, study: Study) -> int:
    """Return ``batch_size``, or from 64 on the nearest multiple of 8 within the bounds."""
    if batch_size < _TILED_FROM:
        return batch_size
    lowest = math.ceil(study.smallest_batch_size / _TILE) * _TILE
    highest = study.largest_batch_size // _TILE * _TILE
    if lowest > highest:
        return batch_size
    return min(max(round(batch_size / _TILE) * _TILE, lowest), highest)
