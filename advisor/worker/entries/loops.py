"""Which task is made of a script, by whose loop it trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bsadvise.model.observation import Reference, TrainingLoop

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.captured import CapturedTask
from advisor.worker.entries.own_loop.task import OwnLoopTask
from advisor.worker.loop.protocol import Task
from advisor.worker.scripts.surroundings import Script
from advisor.worker.user.hooks import Hooks

MakeTask = Callable[[pipe_pb2.Job, Hooks, Script, Reference], Task]
"""Makes a task of a job, its hooks, the script and what it was seen to train with."""


def _captured(job: pipe_pb2.Job, hooks: Hooks, script: Script, _: Reference) -> Task:
    return CapturedTask(script, hooks, job.seed)


def _own_loop(job: pipe_pb2.Job, hooks: Hooks, script: Script, reference: Reference) -> Task:
    return OwnLoopTask(script, reference, hooks.announce, job.seed)


LOOPS: Mapping[TrainingLoop, MakeTask] = {
    TrainingLoop.LIGHTNING: _captured,
    TrainingLoop.TRANSFORMERS: _captured,
    TrainingLoop.SCRIPT: _own_loop,
}
"""A class that implements ``Task`` for scripts is added here and nowhere else in the worker."""
