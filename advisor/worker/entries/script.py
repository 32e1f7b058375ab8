"""A script as a task: observed first, then entered where its training loop is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from bsadvise.model.commands import ObserveScript, RunScript
from bsadvise.model.measurements import Failed, Outcome
from bsadvise.model.observation import Observation, Reference, TrainingLoop

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.delegation import DelegatingTask
from advisor.worker.entries.loops import LOOPS
from advisor.worker.loop.protocol import Task
from advisor.worker.loop.torch_device import TorchDevice
from advisor.worker.scripts.bounded_run import read_outcome, write_outcome
from advisor.worker.scripts.counting import count
from advisor.worker.scripts.observation import observe
from advisor.worker.scripts.surroundings import Script
from advisor.worker.user.hooks import Hooks, UserCodeFailed

HOOK = "the script"
"""What is named as having been run where a script hangs."""

_KEPT_NAME = "observation.pb"
OWN_SHARE = 0.9
"""Of the time after which this process is killed: what was seen until then is yet to be said."""
_ANEW = ObserveScript(time_limit_s=120.0, step_count=20)
"""The observation of a worker that finds none."""


def script_of(job: pipe_pb2.Job, hooks: Hooks) -> Script:
    """Return the script of a job, as its user starts it."""
    return Script(
        source_dir=hooks.source_dir,
        entry_path=hooks.entry_path,
        arguments=tuple(job.arguments),
        has_network=not job.confinement.HasField("sandbox")
        or job.confinement.sandbox.allow_network,
        model_class=job.model_class,
        data_paths=dict(job.data_paths),
    )


class ScriptTask(DelegatingTask):
    """A script: whose loop it was seen to train by decides which task it is."""

    def __init__(self, job: pipe_pb2.Job, hooks: Hooks) -> None:
        super().__init__(job.seed)
        self.script = script_of(job, hooks)
        self._job = job
        self._hooks = hooks
        self._kept = Path(job.checkpoint_dir) / _KEPT_NAME

    def observe(self, command: ObserveScript) -> Outcome:
        """Run the script, and keep what was seen with the job's checkpoints for other workers."""
        self._hooks.announce(HOOK)
        outcome = observe(
            self.script,
            step_count=command.step_count,
            limit_s=OWN_SHARE * command.time_limit_s,
        )
        if isinstance(outcome, Observation):
            with contextlib.suppress(OSError):  # They observe for themselves.
                self._kept.write_bytes(write_outcome(outcome))
        return outcome

    def run(self, command: RunScript, device: TorchDevice) -> Outcome:
        """Run the script with other values, and count what it does."""
        self._hooks.announce(HOOK)
        return count(self.script, command, device, OWN_SHARE * command.time_limit_s)

    @cached_property
    def task(self) -> Task:
        """The task of the loop that it was seen to train by."""
        reference = self._reference()
        make = LOOPS.get(reference.loop)
        if make is None:
            raise self._hooks.reject(
                None,
                f"Found: {reference}. Scripts that train by {_NAMES[reference.loop]} can be "
                "observed, but no other setting can be tried in them yet.",
                "Give --observe-only for what was found, or write a model file: a `build_model()` "
                "and a `build_dataset()` that return what the script makes.",
            )
        return make(self._job, self._hooks, self.script, reference)

    def _reference(self) -> Reference:
        """Return what the script trains with, as this worker or another saw it, else anew."""
        try:
            outcome = read_outcome(self._kept.read_bytes())
        except (OSError, ValueError):
            outcome = self.observe(_ANEW)
        if isinstance(outcome, Failed):
            raise UserCodeFailed(outcome.fault)
        if not isinstance(outcome, Observation) or outcome.reference is None:
            raise self._hooks.reject(None, "What it trains with could not be seen.", "")
        return outcome.reference


_NAMES: Mapping[TrainingLoop, str] = {
    TrainingLoop.SCRIPT: "a loop of their own",
    TrainingLoop.LIGHTNING: "Lightning's Trainer",
    TrainingLoop.TRANSFORMERS: "Transformers' Trainer",
}
