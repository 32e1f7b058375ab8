"""Observes a script: runs it at its own setting for some steps, and finds where that is said.

Each run is in a child of this process, so that every one of them begins alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TypeVar

from bsadvise.model.measurements import Failed, Fault, Outcome
from bsadvise.model.observation import Observation, ObservationEnd, Reference

from advisor.worker.scripts.bounded_run import Timer, named_outcome_in_child
from advisor.worker.scripts.circumstances import Circumstances
from advisor.worker.scripts.confirmation import find_places
from advisor.worker.scripts.libraries import Libraries, import_once
from advisor.worker.scripts.observer import Observer
from advisor.worker.scripts.reference import observation_of
from advisor.worker.scripts.running import Ending, EndingKind, run_script
from advisor.worker.scripts.surroundings import Script, surroundings

T = TypeVar("T", bound=Observer)

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


def _run_in_child(script: Script, step_count: int, limit_s: float) -> tuple[Outcome, Sequence[str]]:
    """Return what was seen, and the modules of slow libraries that were imported."""

    def run(end_s: float) -> tuple[Outcome, Sequence[str]]:
        libraries = Libraries()
        return observe_here(script, step_count, end_s, libraries), libraries.names

    outcome, names = named_outcome_in_child(run, limit_s)
    return outcome or Observation(end=ObservationEnd.TIME_LIMIT), names


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
        limit_s: Seconds after which it is stopped; None for none.
        libraries: Notes what is imported; None where nobody needs to know.
    """

    def make(copy: Path, _: Circumstances) -> Observer:
        return Observer(copy, step_count)

    return run_watched(script, make, observation_of, limit_s, libraries)


def run_watched(
    script: Script,
    make_observer: Callable[[Path, Circumstances], T],
    outcome_of: Callable[[T, Circumstances, ObservationEnd, str], Outcome],
    limit_s: float | None,
    libraries: Libraries | None = None,
) -> Outcome:
    """Run a script in this process under an observer.

    Args:
        script: The script.
        make_observer: Makes the observer, of the copy of the script's files and of what else is
            noted of the run.
        outcome_of: Puts together what was seen, with why it ended and where the script then was.
        limit_s: Seconds after which it is stopped, by a signal to the main thread; None for none.
        libraries: Notes what is imported; None where nobody needs to know.

    Returns:
        What ``outcome_of`` returns, or how the script failed.
    """
    circumstances = Circumstances()
    with surroundings(script) as copy:
        observer = make_observer(copy, circumstances)
        timer = Timer(copy)
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
        return outcome_of(observer, circumstances, end, timer.place)


def _end_of(ending: Ending, observer: Observer, timer: Timer) -> ObservationEnd:
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
