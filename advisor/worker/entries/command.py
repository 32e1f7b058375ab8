"""A command line with placeholders: started anew for each setting that is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from bsadvise.model.commands import ObserveScript, RunScript
from bsadvise.model.measurements import Outcome
from bsadvise.model.observation import Observation, ObservationEnd, ScriptRun
from bsadvise.model.placeholders import filled

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.delegation import DelegatingTask
from advisor.worker.entries.script import HOOK, OWN_SHARE, script_of
from advisor.worker.loop.torch_device import TorchDevice
from advisor.worker.scripts.counting import counter_of, run_of, text_of
from advisor.worker.scripts.descendants import run_command
from advisor.worker.scripts.observer import Observer
from advisor.worker.scripts.reference import observation_of
from advisor.worker.user.hooks import Hooks


class CommandTask(DelegatingTask):
    """A command: run as it is, and no training of our own is made of it."""

    def __init__(self, job: pipe_pb2.Job, hooks: Hooks) -> None:
        super().__init__(job.seed)
        self._job = job
        self._hooks = hooks
        self._script = script_of(job, hooks)

    def observe(self, command: ObserveScript) -> Outcome:
        """Run the command with the values to begin with, and say what it trains with."""
        self._hooks.announce(HOOK)
        outcome = run_command(
            replace(self._script, arguments=filled(self._script.arguments, {})),
            command,
            self._job,
            lambda copy, _: Observer(copy, command.step_count),
            observation_of,
            OWN_SHARE * command.time_limit_s,
        )
        return outcome or Observation(end=ObservationEnd.TIME_LIMIT)

    def run(self, command: RunScript, device: TorchDevice) -> Outcome:
        """Run the command with other values, and count what it does."""
        self._hooks.announce(HOOK)
        texts = {value.place.quantity: text_of(value) for value in command.values}
        outcome = run_command(
            replace(self._script, arguments=filled(self._script.arguments, texts)),
            command,
            self._job,
            counter_of(command, device),
            run_of,
            OWN_SHARE * command.time_limit_s,
        )
        return outcome or ScriptRun(end=ObservationEnd.TIME_LIMIT, step_count=0)

    @property
    def task(self) -> NoReturn:
        """No task: a command is measured by its own runs alone."""
        raise self._hooks.reject(
            None, "A command is run as it is; no training can be made of it.", ""
        )
