"""Asks every method about a workload, and trains the answers until they reach the target."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from benchmarks.regret_bench.answers import (
    COSTS,
    Case,
    add_answer,
    answers_path,
    read_answers,
)
from benchmarks.regret_bench.found import Found, Question, Setting
from benchmarks.regret_bench.methods import METHODS
from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.target import Oracle, find_leaders, reference_setting, target_loss
from benchmarks.regret_bench.times_to_target import TimesToTarget, curves_path
from benchmarks.regret_bench.trainer import Trainer


@dataclass(frozen=True)
class Contest:
    """The comparison on one workload.

    Attributes:
        recording: Its grid.
    """

    recording: Recording

    @cached_property
    def target_loss(self) -> float:
        """The target loss."""
        return target_loss(self.recording)

    @cached_property
    def leaders(self) -> list[Oracle]:
        """The best settings of the grid, the oracle first."""
        return find_leaders(self.recording, self.target_loss)

    @property
    def oracle(self) -> Oracle:
        """The best of the grid."""
        return self.leaders[0]

    @cached_property
    def times_to_target(self) -> TimesToTarget:
        """Times to target of settings."""
        path = curves_path(self.recording.workload)
        return TimesToTarget(path, self.recording, self.target_loss)

    def within_s(self, setting: Setting) -> float:
        """Return the time for which a setting is trained at most.

        The reference is trained up to its recorded time, since the true speedup needs its time.
        """
        is_reference = setting == reference_setting(self.recording)
        cap_s = self.oracle.cap_s
        return max(cap_s, self.recording.recorded_s) if is_reference else cap_s

    def cases(
        self,
        methods: Sequence[str],
        seeds: Sequence[int],
        shares: Sequence[float | None] = COSTS,
    ) -> Iterator[Case]:
        """Yield the searches of some methods at some costs."""
        for seed in seeds:
            for name in methods:
                entry = METHODS[name]
                target = self.target_loss if entry.knows_target else None
                for share in shares:
                    if share is not None and not entry.has_frontier:
                        continue
                    allowed_s = None if share is None else share * self.oracle.time_s
                    yield Case(name, seed, share, allowed_s, target)


def compare(
    recording: Recording,
    methods: Sequence[str],
    seeds: Sequence[int],
    shares: Sequence[float | None] = COSTS,
) -> None:
    """Run the searches and trainings of a comparison that are missing.

    Args:
        recording: The workload's grid.
        methods: Names of the methods.
        seeds: Seeds.
        shares: Search costs, over the oracle's time; None is the default budget.
    """
    torch.set_num_threads(1)
    contest = Contest(recording)
    oracle = contest.oracle
    print(f"{recording.workload}: to {contest.target_loss:.4g}: {oracle}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            trainer = Trainer(recording.workload, Path(scratch), seed)
            leaders = (leader.setting for leader in contest.leaders)
            for setting in (*leaders, reference_setting(recording)):
                contest.times_to_target.ensure(setting, seed, contest.within_s(setting), trainer)
            for case in contest.cases(methods, [seed], shares):
                _search_and_train(contest, case, trainer)


def _search_and_train(contest: Contest, case: Case, trainer: Trainer) -> None:
    path = answers_path(contest.recording.workload)
    found = read_answers(path).get(case)
    if found is None:
        found = _ask(contest, case, trainer)
        if found is None:
            return
        add_answer(path, case, found)
        _print_answer(contest, case, found)
    if found.setting is not None:
        within_s = contest.within_s(found.setting)
        contest.times_to_target.ensure(found.setting, case.seed, within_s, trainer)


def _ask(contest: Contest, case: Case, trainer: Trainer) -> Found | None:
    question = Question(
        recording=contest.recording,
        trainer=trainer,
        seed=case.seed,
        target_loss=contest.target_loss,
        cost_s=case.allowed_s,
    )
    try:
        return METHODS[case.method].find(question)
    except ModuleNotFoundError as error:
        print(f"{case.method} is left out: {error}", flush=True)
        return None


def _print_answer(contest: Contest, case: Case, found: Found) -> None:
    share = "default" if case.share is None else f"{case.share}x"
    print(
        f"{contest.recording.workload} {case.seed}: {case.method} {share}: {found.setting} "
        f"for {found.cost_s:.3g} s",
        flush=True,
    )
