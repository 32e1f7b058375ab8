"""Times to target of settings, each trained once per seed and stored."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.json_lines import append_line, read_lines
from benchmarks.regret_bench.oracle import evaluation_steps
from benchmarks.regret_bench.recording import DIRECTORY, Recording, Run
from benchmarks.regret_bench.rungs import Rung, train_in_rungs
from benchmarks.regret_bench.trainer import Trainer

_PARTS = (8, 4, 2, 1)
"""A setting is trained to these fractions (1/n) of its time until it reaches the target."""

_NEARLY = 0.99
"""Times are rounded to whole steps: a run up to this share of the time is complete."""


def curves_path(workload: str) -> Path:
    """Return the path of the learning curves of a workload's answers."""
    return DIRECTORY / "answer_curves" / f"{workload}.jsonl"


@dataclass(frozen=True, slots=True)
class _Trained:
    """A run, and whether it ended because it diverged."""

    run: Run
    diverged: bool

    def then(self, rung: Rung) -> _Trained:
        """Return the run with one more rung."""
        run = self.run
        steps, losses = (*run.steps, *rung.steps), (*run.losses, *rung.losses)
        return _Trained(replace(run, steps=steps, losses=losses), rung.diverged)


class TimesToTarget:
    """Times to target of a workload's settings.

    Learning curves are stored, so that another target needs no training.
    """

    def __init__(self, path: Path, recording: Recording, target_loss: float) -> None:
        """Read the stored curves.

        Args:
            path: The file.
            recording: Gives the modelled time.
            target_loss: The target loss.
        """
        self._path = path
        self._recording = recording
        self._target_loss = target_loss
        self._runs: dict[tuple[Setting, int], _Trained] = {}
        for line in read_lines(path):
            diverged = line.pop("diverged")
            run = Run(**line | {"steps": tuple(line["steps"]), "losses": tuple(line["losses"])})
            self._keep(_Trained(run, diverged))

    def is_known(self, setting: Setting, seed: int, within_s: float) -> bool:
        """Return whether a setting reached the target, diverged, or was trained that long."""
        trained = self._runs.get((setting, seed))
        if trained is None:
            return False
        if trained.diverged or self._time_s(trained) is not None:
            return True
        return trained.run.steps[-1] >= math.floor(_NEARLY * self._step_count(setting, within_s))

    def time_s(self, setting: Setting, seed: int, within_s: float) -> float | None:
        """Return the modelled seconds to the target; None if more than ``within_s``.

        Raises:
            LookupError: The setting was not trained that long.
        """
        if not self.is_known(setting, seed, within_s):
            raise LookupError(f"{self._recording.workload}: {setting} was not trained with {seed}")
        time_s = self._time_s(self._runs[setting, seed])
        return None if time_s is None or time_s > within_s else time_s

    def ensure(self, setting: Setting, seed: int, within_s: float, trainer: Trainer) -> None:
        """Train a setting until it reaches the target, unless it was trained long enough."""
        if self.is_known(setting, seed, within_s):
            return
        step_count = self._step_count(setting, within_s)
        steps = evaluation_steps(step_count)
        ends = sorted({min(step for step in steps if step >= step_count / part) for part in _PARTS})
        trained = _Trained(Run(*setting, seed, (), ()), diverged=False)
        for rung in train_in_rungs(trainer, setting, ends, steps):
            trained = trained.then(rung)
            if self._time_s(trained) is not None:
                break
        append_line(self._path, asdict(trained.run) | {"diverged": trained.diverged})
        self._keep(trained)

    def _step_count(self, setting: Setting, within_s: float) -> int:
        return max(1, round(within_s / self._recording.step_time_s(setting.batch_size)))

    def _keep(self, trained: _Trained) -> None:
        run = trained.run
        self._runs[Setting(run.batch_size, run.learning_rate), run.seed] = trained

    def _time_s(self, trained: _Trained) -> float | None:
        return self._recording.time_to(trained.run, self._target_loss)
