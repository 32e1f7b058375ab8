"""Runs a command of which the script itself may train, or a Python process that it starts.

Those are observed too: ``startup/sitecustomize.py`` is on their ``PYTHONPATH``, and each that has
trained writes down what it did.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bsadvise.model.commands import ObserveScript, RunScript
from bsadvise.model.measurements import Failed, Fault, FaultCode, Outcome, OutOfMemory
from bsadvise.model.observation import Observation, ObservationEnd, ScriptRun

from advisor.pipe.unions import command_message
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.scripts.bounded_run import outcome_in_child, read_outcome
from advisor.worker.scripts.circumstances import Circumstances
from advisor.worker.scripts.observation import run_watched
from advisor.worker.scripts.observer import Observer
from advisor.worker.scripts.surroundings import Script

T = TypeVar("T", bound=Observer)

RECORDS, COPY, MAIN_PID = "BSADVISE_RECORDS", "BSADVISE_COPY", "BSADVISE_MAIN_PID"
"""Environment variables: the folder of records, the copy of the files, the script's process."""
COMMAND, JOB, SUFFIX = "command", "job", ".outcome"
"""Files in that folder: what is asked for, of which job, and how the name of a record ends."""

_STARTUP = Path(__file__).parent / "startup"
_OUR_PATH = tuple(entry for entry in sys.path if entry)
"""Where this process finds our packages, before user code changes it."""

SEVERAL = Failed(
    fault=Fault(
        code=FaultCode.USER_EXCEPTION,
        message="Several processes train side by side, whose batches are parts of one: give a "
        "command that trains in one process.",
    )
)
"""The outcome of a command in which more than one process trains."""


def run_command(
    script: Script,
    command: ObserveScript | RunScript,
    job: pipe_pb2.Job,
    make_observer: Callable[[Path, Circumstances], T],
    outcome_of: Callable[[T, Circumstances, ObservationEnd, str], Outcome],
    limit_s: float,
) -> Outcome | None:
    """Run a script, with what it starts, in a child of this process.

    Args:
        script: The script, with its arguments as they are to be.
        command: What is asked for.
        job: The job that it is asked of.
        make_observer: Makes the observer of the script's own process; see ``run_watched``.
        outcome_of: Puts together what that has seen.
        limit_s: Seconds after which it is stopped.

    Returns:
        What the process that trained did, or how it failed; None where the time was over before.
    """
    with TemporaryDirectory(prefix="records-", ignore_cleanup_errors=True) as directory:
        records = Path(directory).resolve()
        (records / COMMAND).write_bytes(command_message(0, command).SerializeToString())
        (records / JOB).write_bytes(job.SerializeToString())

        def make(copy: Path, circumstances: Circumstances) -> T:
            os.environ.update(_environment(records, copy))
            return make_observer(copy, circumstances)

        def run(end_s: float) -> Outcome:
            return run_watched(script, make, outcome_of, end_s)

        own = outcome_in_child(run, limit_s)
        has_trained = isinstance(own, Observation | ScriptRun) and own.step_count > 0
        return own if has_trained else _recorded(records) or own


def _environment(records: Path, copy: Path) -> Mapping[str, str]:
    def before(name: str) -> list[str]:
        return [os.environ[name]] if os.environ.get(name) else []

    return {
        RECORDS: str(records),
        COPY: str(copy),
        MAIN_PID: str(os.getpid()),
        "BSADVISE_PATH": os.pathsep.join(_OUR_PATH),
        "PYTHONPATH": os.pathsep.join([str(_STARTUP), *before("PYTHONPATH")]),
        # Torch, which this process has imported, may have said another that only it could use.
        "TORCHINDUCTOR_CACHE_DIR": str(records / "inductor"),
        # Whoever starts "python" means the one that runs the script.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), *before("PATH")]),
    }


def _recorded(records: Path) -> Outcome | None:
    """Return what the processes did: of the one that trained enough, else how one has failed."""
    outcomes = list(_read(records))
    trained = [one for one in outcomes if isinstance(one, Observation | ScriptRun)]
    enough = [one for one in trained if one.end is ObservationEnd.ENOUGH_STEPS]
    if len(enough) > 1:
        return SEVERAL
    failed = [one for one in outcomes if isinstance(one, OutOfMemory | Failed)]
    longest = sorted(trained, key=lambda one: -one.step_count)
    return next(iter([*enough, *failed, *longest]), None)


def _read(records: Path) -> Iterator[Outcome]:
    for path in sorted(records.glob(f"*{SUFFIX}")):
        try:
            yield read_outcome(path.read_bytes())
        except (OSError, ValueError):
            continue  # The processes are the user's, and may write what they like.
