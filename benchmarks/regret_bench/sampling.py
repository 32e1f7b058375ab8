"""Searches over a wide space: Optuna with its default options, and random search."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from benchmarks.regret_bench.found import DEFAULT_BUDGET_S, Found, Question, Setting
from benchmarks.regret_bench.rungs import train_in_rungs

BATCH_SIZES = (4, 1024)
LEARNING_RATES = (1e-5, 10.0)

TRIALS = 10
"""Trials that fit in the time allowed, if none is pruned."""
_RUNGS = 4


def plain_optuna(question: Question) -> Found:
    """Return the answer of Optuna's default sampler with its median pruner."""
    return _Search(question, TPESampler(seed=question.seed), MedianPruner()).run()


def random_search(question: Question) -> Found:
    """Return the best of random settings."""
    return _Search(question, RandomSampler(seed=question.seed), NopPruner()).run()


@dataclass(frozen=True, slots=True, order=True)
class _Seen:
    """Result of a trial, ordered by rungs reached, most first, then by loss."""

    rungs_left: int
    loss: float
    setting: Setting


class _Search:
    """A search in which every trial ends at one modelled time."""

    def __init__(self, question: Question, sampler: BaseSampler, pruner: BasePruner) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._question = question
        self._allowed_s = question.cost_s or DEFAULT_BUDGET_S
        self._spent_s = 0.0
        self._seen: list[_Seen] = []
        self._study = optuna.create_study(sampler=sampler, pruner=pruner)

    def run(self) -> Found:
        """Return the best setting; none if no trial fitted in the time or all diverged."""
        while self._try(self._study.ask()):
            pass
        best = min((seen for seen in self._seen if math.isfinite(seen.loss)), default=None)
        return Found(
            setting=None if best is None else best.setting,
            cost_s=self._spent_s,
            trial_count=len(self._seen),
        )

    def _try(self, trial: Trial) -> bool:
        """Run a trial; return whether the remaining time sufficed for its first rung."""
        setting = Setting(
            trial.suggest_int("batch_size", *BATCH_SIZES, log=True),
            trial.suggest_float("learning_rate", *LEARNING_RATES, log=True),
        )
        rungs = self._affordable(rung_steps(self._horizon_steps(setting)), setting)
        if not rungs:
            return False
        trainer = self._question.trainer
        losses = (
            math.inf if rung.diverged else rung.losses[-1]
            for rung in train_in_rungs(trainer, setting, tuple(rungs.values()))
        )
        self._climb(trial, setting, rungs, losses)
        return True

    def _climb(
        self, trial: Trial, setting: Setting, rungs: dict[int, int], losses: Iterable[float]
    ) -> None:
        """Train the rungs of a trial until the pruner stops it."""
        rung, loss, spent_s = 0, math.inf, 0.0
        for evaluations, ((rung, steps), loss) in enumerate(
            zip(rungs.items(), losses, strict=False), 1
        ):
            spent_s = self._cost_s(setting, steps, evaluations)
            trial.report(loss, rung)
            if math.isinf(loss) or trial.should_prune():
                break
        self._spent_s += spent_s
        self._seen.append(_Seen(_RUNGS - 1 - rung, loss, setting))
        if rung == _RUNGS - 1 or math.isinf(loss):
            self._study.tell(trial, loss)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def _horizon_steps(self, setting: Setting) -> float:
        step_time_s = self._question.recording.step_time_s(setting.batch_size)
        return self._allowed_s / TRIALS / step_time_s

    def _affordable(self, rungs: dict[int, int], setting: Setting) -> dict[int, int]:
        """Return the rungs that fit in the remaining time."""
        left_s = self._allowed_s - self._spent_s
        return {
            rung: steps
            for evaluations, (rung, steps) in enumerate(rungs.items(), 1)
            if self._cost_s(setting, steps, evaluations) <= left_s
        }

    def _cost_s(self, setting: Setting, steps: int, evaluations: int) -> float:
        recording = self._question.recording
        return (
            steps * recording.step_time_s(setting.batch_size) + evaluations * recording.evaluation_s
        )


def rung_steps(horizon_steps: float) -> dict[int, int]:
    """Return the steps at which rungs end, each at twice the time of the one before.

    Of rungs that end at the same step only the last is kept; every trial takes at least one step.
    """
    last = _RUNGS - 1
    ends = {max(1, round(horizon_steps / 2 ** (last - rung))): rung for rung in range(_RUNGS)}
    return {rung: steps for steps, rung in ends.items()}
