"""A fork server whose workers do what a script says. It needs no torch, so it starts at once.

The script defines ``answer(command, enter)``, which returns an outcome, or does worse.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable

from bsadvise.model.commands import Command
from bsadvise.model.measurements import Outcome

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.process.forkserver import main

COMMAND = (sys.executable, __file__)


class ScriptedWorker:
    def __init__(self, job: pipe_pb2.Job, entering_hook: Callable[[str], None]) -> None:
        self._enter = entering_hook
        os.chdir(job.source_dir)
        script = runpy.run_path(job.entry_path)
        self._answer: Callable[[Command, Callable[[str], None]], Outcome] = script["answer"]

    def execute(self, command: Command) -> Outcome:
        return self._answer(command, self._enter)


if __name__ == "__main__":
    main(ScriptedWorker)
