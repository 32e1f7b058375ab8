"""What the contract of worker pools asks of a worker, and how a real process does it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from bsadvise.model.caveats import Caveat
from bsadvise.model.commands import Command, TraceMemory
from bsadvise.model.measurements import (
    Failed,
    Fault,
    FaultCode,
    MemoryParts,
    MemoryTrace,
    Outcome,
    OutOfMemory,
)


class Behaviour(IntEnum):
    """What a worker is to do; given as the micro-batch size of a command to trace memory."""

    ANSWER = 1
    """Return ``ANSWER_TRACE``."""
    RAISE = 2
    """Say that user code raised "boom"."""
    RUN_OUT = 3
    """Say that memory ran out."""
    DIE = 4
    """End its process, with exit code 3."""
    HANG = 5
    """Say that it is there, then never answer."""


ANSWER_TRACE = MemoryTrace(
    peak_bytes=12345678901,
    evaluation_peak_bytes=5,
    parts=MemoryParts(parameter_bytes=7),
    caveats=(Caveat(text="né"),),
)

RAISED = Failed(fault=Fault(code=FaultCode.USER_EXCEPTION, message="boom", output="words"))
RAN_OUT = OutOfMemory(message="full")


def answer(command: Command, enter: Callable[[str], None]) -> Outcome:
    """Behave in a process of its own, in whose directory is a named pipe, "hanging"."""
    enter("answer")
    assert isinstance(command, TraceMemory)
    match Behaviour(command.micro_batch_size):
        case Behaviour.ANSWER:
            return ANSWER_TRACE
        case Behaviour.RAISE:
            return RAISED
        case Behaviour.RUN_OUT:
            return RAN_OUT
        case Behaviour.DIE:
            os._exit(3)
        case Behaviour.HANG:
            if command.time_limit_s > 1:  # Else nobody waits at the other end.
                Path("hanging").write_text("now", encoding="ascii")
            while True:
                signal.pause()
