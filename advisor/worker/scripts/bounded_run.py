"""Runs something in a child of this process for a limited time, and says what came of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bsadvise.model.measurements import Failed, Fault, FaultCode, Outcome
from google.protobuf.message import DecodeError

from advisor.pipe.unions import outcome_message, outcome_of
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.scripts.child import ChildLost, call_in_child
from advisor.worker.scripts.handler import StopScript
from advisor.worker.scripts.observer import place_of_frame

_ASKING_S = 5.0
"""Before a child is killed it is asked to end, and then says where it is."""

_AGAIN_S = 1.0
"""Between two requests to end: a script may catch the first."""


def outcome_in_child(run: Callable[[float], Outcome], limit_s: float) -> Outcome | None:
    """Return what a function returns that is called in a child; None where its time was over.

    Args:
        run: Called with the seconds after which it is to end by itself.
        limit_s: Seconds after which the child is killed.
    """
    return named_outcome_in_child(lambda end_s: (run(end_s), ()), limit_s)[0]


def named_outcome_in_child(
    run: Callable[[float], tuple[Outcome, Iterable[str]]], limit_s: float
) -> tuple[Outcome | None, Sequence[str]]:
    """Return the same of a function that also returns names, without spaces; none with None."""
    asking_s = max(limit_s - _ASKING_S, limit_s / 2)

    def run_in_child() -> bytes:
        outcome, names = run(asking_s)
        return " ".join(names).encode() + b"\n" + write_outcome(outcome)

    try:
        names, _, content = call_in_child(run_in_child, limit_s).partition(b"\n")
        return read_outcome(content), names.decode().split()
    except ChildLost as lost:
        if lost.exit_code is None:
            return None, ()
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


class Timer:
    """Ends a script by a signal to the main thread when its time is over.

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
        """Count from now until the context is left; None for no limit."""
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
