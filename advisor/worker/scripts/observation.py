"""Observes a script: runs it at its own setting for some steps, and finds where that is said.

Each run is in a child of this process, so that every one of them begins alike.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import FrameType

from bsadvise.model.measurements import Failed, Fault, FaultCode, Outcome
from bsadvise.model.observation import Observation, ObservationEnd, Reference
from google.protobuf.message import DecodeError

from advisor.pipe.unions import outcome_message, outcome_of
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.scripts.child import ChildLost, call_in_child
from advisor.worker.scripts.circumstances import Circumstances
from advisor.worker.scripts.confirmation import find_places
from advisor.worker.scripts.handler import StopScript
from advisor.worker.scripts.libraries import Libraries, import_once
from advisor.worker.scripts.observer import Observer, place_of_frame
from advisor.worker.scripts.reference import observation_of
from advisor.worker.scripts.running import Ending, EndingKind, run_script
from advisor.worker.scripts.surroundings import Script, surroundings

_ASKING_S = 5.0
"""Before a child is killed it is asked to end, and then says where it is."""

_AGAIN_S = 1.0
"""Between two requests to end: a script may catch the first."""

_HUB = re.compile(r"huggingface|HF_HUB_OFFLINE|offline mode|LocalEntryNotFoundError", re.IGNORECASE)


def observe(script: Script, *, step_count: int, limit_s: float) -> Outcome:
    """Return what a script trains with by itself: an Observation, or why there is none.

    Args:
        script: The script.
        step_count: Optimizer steps to see.
        limit_s: Seconds that all its runs may take together.
    """
    deadline_s = monotonic() + limit_s
    outcome, libraries = _run_in_child(script, step_count, limit_s)
    if not isinstance(outcome, Observation) or outcome.reference is None:
        return outcome
    reference = outcome.reference
    if monotonic() < deadline_s - limit_s / 2:  # Else they may not be there in time.
        import_once(script, libraries)

    def run(changed: Script) -> Reference | None:
        left_s = deadline_s - monotonic()
        seen = _run_in_child(changed, 1, left_s)[0] if left_s > 0 else None
        return seen.reference if isinstance(seen, Observation) else None

    where = find_places(script, reference, run)
    return replace(outcome, reference=replace(reference, where=where))


def observe_here(
    script: Script,
    step_count: int,
    limit_s: float | None = None,
    libraries: Libraries | None = None,
) -> Outcome:
    """Observe a script in this process, once; places are flags of its parsers alone.

    Args:
        script: The script.
        step_count: Optimizer steps to see.
        limit_s: Seconds after which it is stopped, by a signal to the main thread; None for none.
        libraries: Notes what is imported; None where nobody needs to know.
    """
    circumstances = Circumstances()
    with surroundings(script) as copy:
        observer = Observer(copy, step_count)
        timer = _Timer(copy)
        noted = nullcontext() if libraries is None else libraries.noted(copy)
        try:
            with noted, circumstances.noted(), timer.running(limit_s):
                ending = run_script(copy, script.entry_path, observer, script.model_class)
        finally:
            observer.close()
        if ending.memory is not None:
            return ending.memory
        # One that waits for other processes is no fault of its code.
        is_alone = not circumstances.has_processes or observer.step_count > 0
        if ending.fault is not None and is_alone:
            return Failed(fault=_explained(ending.fault, circumstances))
        end = _end_of(ending, observer, timer)
        return observation_of(observer, circumstances, end, timer.place)


def _end_of(ending: Ending, observer: Observer, timer: _Timer) -> ObservationEnd:
    if timer.is_over:
        return ObservationEnd.TIME_LIMIT
    if ending.kind is EndingKind.STOPPED and observer.step_count:
        return ObservationEnd.ENOUGH_STEPS
    return ObservationEnd.SCRIPT_ENDED


def _explained(fault: Fault, circumstances: Circumstances) -> Fault:
    """Return a fault that says what its parser did, or whose data the script could not have."""
    if circumstances.usage_error:
        return replace(fault, message=circumstances.usage_error)
    hosts = circumstances.hosts
    host = "huggingface.co" if _HUB.search(fault.message) else next(iter(hosts), None)
    if host is None:
        return fault
    fix = (
        f"It needs data from {host}, which it cannot reach from here: bring the data with "
        "--data-path, or have the daemon started with --allow-network."
    )
    return replace(fault, fix=fix)


class _Timer:
    """Ends a script by a signal when its time is over.

    Attributes:
        is_over: Whether it is.
        place: Where the script was then; empty where that was in no file of its.
    """

    def __init__(self, copy: Path) -> None:
        self.is_over = False
        self.place = ""
        self._copy = copy

    @contextmanager
    def running(self, limit_s: float | None) -> Iterator[None]:
        """Count from now until the context is left."""
        if limit_s is None:
            yield
            return
        signal.signal(signal.SIGALRM, self._end)
        signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _end(self, _: int, frame: FrameType | None) -> None:
        if not self.is_over:
            self.is_over = True
            self.place = place_of_frame(frame, self._copy)
        raise StopScript


def _run_in_child(script: Script, step_count: int, limit_s: float) -> tuple[Outcome, Sequence[str]]:
    """Return what was seen, and the modules of slow libraries that were imported."""

    def run() -> bytes:
        libraries = Libraries()
        own_limit_s = max(limit_s - _ASKING_S, limit_s / 2)
        outcome = observe_here(script, step_count, own_limit_s, libraries)
        return b" ".join(map(str.encode, libraries.names)) + b"\n" + write_outcome(outcome)

    try:
        names, _, content = call_in_child(run, limit_s).partition(b"\n")
        return read_outcome(content), names.decode().split()
    except ChildLost as lost:
        if lost.exit_code is None:
            return Observation(end=ObservationEnd.TIME_LIMIT), ()
        message = _how_it_died(lost.exit_code)
    except ValueError as error:
        message = f"The script's process wrote where its observation was expected: {error}."
    return Failed(fault=Fault(code=FaultCode.PROCESS_DIED, message=message)), ()


def write_outcome(outcome: Outcome) -> bytes:
    """Return an outcome as bytes. Raises ValueError for what no message can hold."""
    return outcome_message(0, outcome).SerializeToString()


def read_outcome(content: bytes) -> Outcome:
    """Return the outcome of bytes that user code may have written. Raises ValueError."""
    try:
        return outcome_of(pipe_pb2.NumberedOutcome.FromString(content))
    except DecodeError as error:
        raise ValueError(str(error)) from error


def _how_it_died(code: int) -> str:
    if code < 0:
        return f"The script's process was ended by {signal.Signals(-code).name}."
    return f"The script's process ended itself with the code {code}."
