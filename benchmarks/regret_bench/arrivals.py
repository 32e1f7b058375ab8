"""When a setting comes to the target: trained for real, once a seed, and remembered."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.lines import append_line, read_lines
from benchmarks.regret_bench.oracle import look_steps
from benchmarks.regret_bench.recording import DIRECTORY, Recording, Run
from benchmarks.regret_bench.stretches import Stretch, train_in_stretches
from benchmarks.regret_bench.trainer import Trainer

_PARTS = (8, 4, 2, 1)
"""A setting is trained to these parts of its time, until it has come to the target."""

_NEARLY = 0.99
"""Seconds become whole steps: a run this near to the end was trained to it."""


def arrivals_path(workload: str) -> Path:
    """Return where a workload's runs off the grid lie."""
    return DIRECTORY / "arrivals" / f"{workload}.jsonl"


@dataclass(frozen=True, slots=True)
class _Trained:
    """A run, and whether it ended because it diverged."""

    run: Run
    diverged: bool

    def then(self, stretch: Stretch) -> _Trained:
        """Return the run with a stretch more."""
        run = self.run
        steps, losses = (*run.steps, *stretch.steps), (*run.losses, *stretch.losses)
        return _Trained(replace(run, steps=steps, losses=losses), stretch.diverged)


class Arrivals:
    """The seconds of settings to a workload's target.

    What is kept is curves, so that another target asks for no other training.
    """

    def __init__(self, path: Path, recording: Recording, target_loss: float) -> None:
        """Read what is remembered.

        Args:
            path: Where.
            recording: The workload's clock.
            target_loss: What to come to.
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
        """Return whether a setting arrived, diverged, or was trained that far."""
        trained = self._runs.get((setting, seed))
        if trained is None:
            return False
        if trained.diverged or self._time_s(trained) is not None:
            return True
        return trained.run.steps[-1] >= math.floor(_NEARLY * self._step_count(setting, within_s))

    def time_s(self, setting: Setting, seed: int, within_s: float) -> float | None:
        """Return the modelled seconds to the target; None when it took more than ``within_s``.

        Raises:
            LookupError: The setting was not trained that far.
        """
        if not self.is_known(setting, seed, within_s):
            raise LookupError(f"{self._recording.workload}: {setting} was not trained with {seed}")
        time_s = self._time_s(self._runs[setting, seed])
        return None if time_s is None or time_s > within_s else time_s

    def ensure(self, setting: Setting, seed: int, within_s: float, trainer: Trainer) -> None:
        """Train a setting until it comes to the target, unless it was trained far enough."""
        if self.is_known(setting, seed, within_s):
            return
        step_count = self._step_count(setting, within_s)
        looks = look_steps(step_count)
        ends = sorted({min(look for look in looks if look >= step_count / part) for part in _PARTS})
        trained = _Trained(Run(*setting, seed, (), ()), diverged=False)
        for stretch in train_in_stretches(trainer, setting, ends, looks):
            trained = trained.then(stretch)
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
