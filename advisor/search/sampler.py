"""The search as an Optuna sampler: a known suggestion for one trial, TPE for the others.

The scaling model, the neighbours of the best trial and TPE answer through this one class, so
that a trial of the search is a trial of an Optuna study, whoever chose its setting.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from bsadvise.model.commands import TrialOrigin
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from advisor.ports.proposer import Suggestion
from advisor.search.constraints import sampler_options

EFFECTIVE_BATCH_SIZE = "effective_batch_size"
LR_MULTIPLIER = "lr_multiplier"

_ORIGIN = "bsadvise:origin"

# Trials that are drawn at random before TPE models anything. Optuna's default of 10 is the
# whole of a usual search here; and the planner's own trials, which come first, are a spread
# already.
_STARTUP_TRIALS = 4


class ScalingLawSampler(BaseSampler):
    """Gives one trial of a study the suggested setting, and leaves the others to TPE.

    Which trial that is follows from its number alone, so trials may be asked for in parallel.
    Each trial has the origin of its setting as a system attribute, see ``origin_of``. A
    suggestion outside of the space that a trial is asked for is not used: Optuna then draws
    anew, by TPE.
    """

    def __init__(
        self, suggestion: Suggestion | None, *, tpe: TPESampler, trial_number: int = 0
    ) -> None:
        """Make a sampler.

        Args:
            suggestion: The setting of one trial; None when TPE chooses all.
            tpe: Chooses the others. Its random state advances as if it were the study's sampler.
            trial_number: Number of the trial that gets the suggestion: how many the study had
                when it was made.
        """
        self._suggestion = suggestion
        self._tpe = tpe
        self._trial_number = trial_number

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Record the origin of the trial's setting."""
        suggestion = self._suggestion_for(trial)
        _set_origin(study, trial, TrialOrigin.SAMPLER if suggestion is None else suggestion.origin)
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the suggested setting as a space of one point, or TPE's space."""
        suggestion = self._suggestion_for(trial)
        if suggestion is None:
            return self._tpe.infer_relative_search_space(study, trial)
        size, multiplier = suggestion.point.effective_batch_size, suggestion.point.lr_multiplier
        return {
            EFFECTIVE_BATCH_SIZE: IntDistribution(size, size, log=True),
            LR_MULTIPLIER: FloatDistribution(multiplier, multiplier, log=True),
        }

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the suggested setting, or TPE's choice of both parameters together."""
        suggestion = self._suggestion_for(trial)
        if suggestion is None:
            return self._tpe.sample_relative(study, trial, search_space)
        return {
            EFFECTIVE_BATCH_SIZE: suggestion.point.effective_batch_size,
            LR_MULTIPLIER: suggestion.point.lr_multiplier,
        }

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - of the type of the parameter
        """Return TPE's choice of a parameter that was not chosen together with the others."""
        _set_origin(study, trial, TrialOrigin.SAMPLER)
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let TPE record whether the trial that ends broke a constraint."""
        self._tpe.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Give TPE another random state, as Optuna does in each process of several."""
        self._tpe.reseed_rng()

    def _suggestion_for(self, trial: FrozenTrial) -> Suggestion | None:
        return self._suggestion if trial.number == self._trial_number else None


def make_tpe(seed: int) -> TPESampler:
    """Return the TPE sampler of a search."""
    with warnings.catch_warnings():
        # Optuna 4 calls these options experimental; 5 has most of them as its defaults.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            n_startup_trials=_STARTUP_TRIALS, seed=seed, multivariate=True, **sampler_options()
        )


def origin_of(trial: FrozenTrial) -> TrialOrigin:
    """Return why a trial that was asked of the sampler has its setting."""
    return TrialOrigin(trial.system_attrs[_ORIGIN])


def _set_origin(study: optuna.Study, trial: FrozenTrial, origin: TrialOrigin) -> None:
    # As Optuna's own samplers do; there is no public way to a frozen trial's system attributes.
    storage, trial_id = study._storage, trial._trial_id  # noqa: SLF001
    storage.set_trial_system_attr(trial_id, _ORIGIN, origin.value)
