"""Which task each kind of entry file makes of a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bsadvise.model.request import EntryKind
from bsadvise.v1 import recommendation_pb2

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.command import CommandTask
from advisor.worker.entries.model_file import ModelFileTask
from advisor.worker.entries.script import ScriptTask
from advisor.worker.loop.protocol import Task
from advisor.worker.user.hooks import Hooks

ENTRIES: Mapping[EntryKind, Callable[[pipe_pb2.Job, Hooks], Task]] = {
    EntryKind.MODEL_FILE: ModelFileTask,
    EntryKind.SCRIPT: ScriptTask,
    EntryKind.COMMAND: CommandTask,
}
"""By kind, what makes the task. A class that implements ``Task`` is added here and nowhere else
in the worker; of scripts, in ``entries.loops``."""


def make_task(job: pipe_pb2.Job, entering_hook: Callable[[str], None]) -> Task:
    """Return the task of a job. Runs none of the user's code yet.

    Args:
        job: The job.
        entering_hook: Called with a hook's name before it is run.

    Raises:
        ValueError: This worker knows no such kind of entry.
    """
    name = recommendation_pb2.EntryKind.Name(job.entry_kind)
    kind = EntryKind(name.removeprefix("ENTRY_KIND_").lower())
    hooks = Hooks(Path(job.source_dir).resolve(), job.entry_path, entering_hook)
    return ENTRIES[kind](job, hooks)
