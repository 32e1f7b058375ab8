"""The sampler in an Optuna study: one trial gets the suggestion, TPE has all the others."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import optuna
import pytest
from bsadvise.model.commands import TrialOrigin
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from advisor.ports.proposer import Point, Study, Suggestion
from advisor.search.rebuild import rebuild
from advisor.search.sampler import (
    EFFECTIVE_BATCH_SIZE,
    LR_MULTIPLIER,
    ScalingLawSampler,
    make_tpe,
    origin_of,
)
from tests.support.proposer_contract import make_study, make_trial, no_deadline, studies

POINT = Point(effective_batch_size=96, lr_multiplier=1 / 3)
PARAMS = {EFFECTIVE_BATCH_SIZE: 96, LR_MULTIPLIER: 1 / 3}
SUGGESTION = Suggestion(point=POINT, origin=TrialOrigin.NEIGHBOUR)
SPACE: dict[str, BaseDistribution] = {
    EFFECTIVE_BATCH_SIZE: IntDistribution(8, 4096, log=True),
    LR_MULTIPLIER: FloatDistribution(1 / 16, 16.0, log=True),
}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _objective(trial: optuna.Trial) -> float:
    size = trial.suggest_int(EFFECTIVE_BATCH_SIZE, 8, 4096, log=True)
    multiplier = trial.suggest_float(LR_MULTIPLIER, 1 / 16, 16.0, log=True)
    return math.log2(multiplier) ** 2 + 0.1 * math.log2(size / 256) ** 2


def _optimized(sampler: BaseSampler, trial_count: int) -> list[FrozenTrial]:
    study = optuna.create_study(sampler=sampler)
    study.optimize(_objective, n_trials=trial_count)
    return study.trials


def test_without_a_suggestion_it_is_tpe() -> None:
    trials = _optimized(ScalingLawSampler(None, tpe=make_tpe(5)), 12)
    alone = _optimized(make_tpe(5), 12)
    assert [trial.params for trial in trials] == [trial.params for trial in alone]
    assert {origin_of(trial) for trial in trials} == {TrialOrigin.SAMPLER}


def test_after_the_suggestion_tpe_goes_on_as_if_the_user_had_enqueued_it() -> None:
    trials = _optimized(ScalingLawSampler(SUGGESTION, tpe=make_tpe(5)), 12)
    enqueued = optuna.create_study(sampler=make_tpe(5))
    enqueued.enqueue_trial(PARAMS)
    enqueued.optimize(_objective, n_trials=12)
    assert [trial.params for trial in trials] == [trial.params for trial in enqueued.trials]
    assert [origin_of(trial) for trial in trials] == [
        TrialOrigin.NEIGHBOUR,
        *[TrialOrigin.SAMPLER] * 11,
    ]


def test_what_is_told_of_a_suggestion_counts_for_what_is_asked_next() -> None:
    def proposed_after(loss: float) -> list[int]:
        study = optuna.create_study(sampler=ScalingLawSampler(SUGGESTION, tpe=make_tpe(0)))
        asked = study.ask(SPACE)
        assert asked.params == PARAMS
        told = study.tell(asked, loss)
        assert (told.state, told.value, origin_of(told)) == (
            TrialState.COMPLETE,
            loss,
            SUGGESTION.origin,
        )
        for n in range(8):
            study.add_trial(
                optuna.trial.create_trial(
                    value=1.0 + n,
                    params={EFFECTIVE_BATCH_SIZE: 2048 + n, LR_MULTIPLIER: 1 / 3},
                    distributions=SPACE,
                )
            )
        return [study.ask(SPACE).params[EFFECTIVE_BATCH_SIZE] for _ in range(4)]

    assert proposed_after(0.0) == proposed_after(0.5), "it is the best either way"
    assert proposed_after(0.0) != proposed_after(100.0)


def test_a_rebuilt_study_goes_on_after_the_trials_it_was_told() -> None:
    shown = make_study(make_trial(16, 1.0, 2.0, 1.0), make_trial(64, 9.0, excess=1.0))
    rebuilt, space = rebuild(shown)
    told = rebuilt.trials
    assert [trial.state for trial in told] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert told[0].intermediate_values == {0: 2.0, 1: 1.0}
    asked = rebuilt.ask(space)
    assert asked.number == 2
    rebuilt.tell(asked, 0.5)
    assert rebuilt.best_trial.number == 2


@no_deadline
@given(study=studies(), size=st.integers(1, 10_000), multiplier=st.floats(1e-6, 1e6))
def test_the_next_trial_of_a_rebuilt_study_is_the_suggested_one(
    study: Study, size: int, multiplier: float
) -> None:
    point = Point(effective_batch_size=size, lr_multiplier=multiplier)
    suggested = replace(study, suggestion=Suggestion(point=point, origin=TrialOrigin.SUGGESTED))
    rebuilt, space = rebuild(suggested)
    rebuilt.ask(space)
    asked = rebuilt.trials[-1]
    assert asked.params == {EFFECTIVE_BATCH_SIZE: size, LR_MULTIPLIER: multiplier}
    assert origin_of(asked) is TrialOrigin.SUGGESTED


def test_a_suggestion_outside_of_the_space_is_drawn_anew_and_not_called_one() -> None:
    space = {**SPACE, LR_MULTIPLIER: FloatDistribution(1.0, 16.0, log=True)}
    study = optuna.create_study(sampler=ScalingLawSampler(SUGGESTION, tpe=make_tpe(0)))
    asked = study.ask(space)
    assert 1.0 <= asked.params[LR_MULTIPLIER] <= 16.0
    assert origin_of(study.trials[0]) is TrialOrigin.SAMPLER


def test_of_trials_asked_for_in_parallel_one_gets_the_suggestion() -> None:
    study = optuna.create_study(sampler=ScalingLawSampler(SUGGESTION, tpe=make_tpe(0)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: study.ask(SPACE), range(8)))
    assert [trial.number for trial in study.trials if trial.params == PARAMS] == [0]


def test_reseeding_gives_tpe_another_random_state() -> None:
    sampler = ScalingLawSampler(None, tpe=make_tpe(5))
    sampler.reseed_rng()
    assert _optimized(sampler, 1)[0].params != _optimized(make_tpe(5), 1)[0].params
