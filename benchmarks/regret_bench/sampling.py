"""Searches over the raw space: Optuna as it comes, and chance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from benchmarks.regret_bench.found import DEFAULT_BUDGET_S, Found, Question, Setting
from benchmarks.regret_bench.stretches import train_in_stretches

_BATCH_SIZES = (4, 1024)
_LEARNING_RATES = (1e-5, 10.0)

_TRIALS = 10
"""Trials that the seconds allowed suffice for, if none is pruned."""
_RUNGS = 4


def plain_optuna(question: Question) -> Found:
    """Return what Optuna's default sampler and the median rule come to."""
    return _Search(question, TPESampler(seed=question.seed), MedianPruner()).run()


def chance(question: Question) -> Found:
    """Return the best of settings drawn at random."""
    return _Search(question, RandomSampler(seed=question.seed), NopPruner()).run()


@dataclass(frozen=True, slots=True, order=True)
class _Seen:
    """How far a trial came: the deepest first, then the lowest loss."""

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
        """Return the best setting; none where nothing was affordable or all diverged."""
        while self._try(self._study.ask()):
            pass
        best = min((seen for seen in self._seen if math.isfinite(seen.loss)), default=None)
        return Found(
            setting=None if best is None else best.setting,
            cost_s=self._spent_s,
            trial_count=len(self._seen),
        )

    def _try(self, trial: Trial) -> bool:
        """Run a trial; return whether there were seconds left for its first rung."""
        setting = Setting(
            trial.suggest_int("batch_size", *_BATCH_SIZES, log=True),
            trial.suggest_float("learning_rate", *_LEARNING_RATES, log=True),
        )
        rungs = self._affordable(rung_steps(self._horizon_steps(setting)), setting)
        if not rungs:
            return False
        trainer = self._question.trainer
        losses = (
            math.inf if stretch.diverged else stretch.losses[-1]
            for stretch in train_in_stretches(trainer, setting, tuple(rungs.values()))
        )
        self._climb(trial, setting, rungs, losses)
        return True

    def _climb(
        self, trial: Trial, setting: Setting, rungs: dict[int, int], losses: Iterable[float]
    ) -> None:
        """Go through a trial's rungs, as far as the pruner lets it."""
        rung, loss, spent_s = 0, math.inf, 0.0
        for looks, ((rung, steps), loss) in enumerate(zip(rungs.items(), losses, strict=False), 1):
            spent_s = self._cost_s(setting, steps, looks)
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
        return self._allowed_s / _TRIALS / step_time_s

    def _affordable(self, rungs: dict[int, int], setting: Setting) -> dict[int, int]:
        """Return the rungs that the seconds left suffice for."""
        left_s = self._allowed_s - self._spent_s
        return {
            rung: steps
            for looks, (rung, steps) in enumerate(rungs.items(), 1)
            if self._cost_s(setting, steps, looks) <= left_s
        }

    def _cost_s(self, setting: Setting, steps: int, looks: int) -> float:
        recording = self._question.recording
        return steps * recording.step_time_s(setting.batch_size) + looks * recording.evaluation_s


def rung_steps(horizon_steps: float) -> dict[int, int]:
    """Return the steps at which rungs end, each at twice the time of the one before.

    Of rungs that end at the same step only the deepest is kept; every trial takes a step.
    """
    last = _RUNGS - 1
    ends = {max(1, round(horizon_steps / 2 ** (last - rung))): rung for rung in range(_RUNGS)}
    return {rung: steps for steps, rung in ends.items()}
