"""Which task each kind of entry makes of a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.model_file import ModelFileTask
from advisor.worker.loop.protocol import Task
from advisor.worker.user.hooks import Hooks


def make_task(job: pipe_pb2.Job, entering_hook: Callable[[str], None]) -> Task:
    """Return the task of a job. Runs none of the user's code yet.

    Args:
        job: The job.
        entering_hook: Called with a hook's name before it is run.
    """
    hooks = Hooks(Path(job.source_dir).resolve(), job.entry_path, entering_hook)
    return ModelFileTask(job, hooks)
