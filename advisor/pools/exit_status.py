"""What the end of a worker's process says about the command that it was carrying out."""

from __future__ import annotations

import signal

from bsadvise.model.measurements import Failed, Fault, FaultCode, OutOfMemory

from advisor.pipe.framing import PIPE_LOST_EXIT_CODE
from advisor.pools.stacks import Place

_PIPE_FIX = "Do not close file descriptors that the file did not open, nor replace the process."

_SIGNAL_FIXES: dict[int, str] = {
    signal.SIGSEGV: "A native extension crashed; the output shows where Python was.",
    signal.SIGABRT: "A native library gave up; its message is in the output.",
    signal.SIGFPE: "A native extension crashed; the output shows where Python was.",
    signal.SIGILL: "A native library was built for another processor; reinstall it for this one.",
    signal.SIGBUS: "Most likely shared memory is full: enlarge /dev/shm or lower NUM_WORKERS.",
    signal.SIGXCPU: "It used more processor time than a worker may.",
    signal.SIGXFSZ: "It wrote a file larger than a worker may.",
}


def outcome_of_exit(
    exit_code: int,
    *,
    hook: str | None = None,
    output: str | None = None,
    place: Place | None = None,
) -> Failed | OutOfMemory:
    """Return the outcome of a command whose worker ended by itself.

    Args:
        exit_code: Exit code, or the negative number of the signal that ended it.
        hook: Name in the model file that was being run.
        output: The end of what user code printed.
        place: Where user code was.
    """
    if exit_code == -signal.SIGKILL:
        where = f" in {hook}" if hook else ""
        return OutOfMemory(
            message=f"The process was killed by SIGKILL{where}, most likely by the kernel because "
            "the machine's memory ran out.",
            is_host=True,
        )
    if exit_code == PIPE_LOST_EXIT_CODE:
        return pipe_lost(hook=hook, output=output, place=place)
    if exit_code < 0:
        fix = _SIGNAL_FIXES.get(-exit_code, "Remove what sends this signal.")
    else:
        fix = "Remove the call of os._exit, sys.exit or exit, and raise an exception instead."
    return _died(f"The process ended {ending(exit_code)}.", fix, hook, output, place)


def pipe_lost(
    *, hook: str | None = None, output: str | None = None, place: Place | None = None
) -> Failed:
    """Return the outcome of a command whose worker can no longer answer."""
    return _died("The process lost its pipe to the advisor.", _PIPE_FIX, hook, output, place)


def ending(exit_code: int) -> str:
    """Return "with exit code 3", or "by SIGSEGV" for the negative number of that signal."""
    if exit_code >= 0:
        return f"with exit code {exit_code}"
    try:
        return f"by {signal.Signals(-exit_code).name}"
    except ValueError:  # A real-time signal has a number alone.
        return f"by signal {-exit_code}"


def _died(
    message: str, fix: str, hook: str | None, output: str | None, place: Place | None
) -> Failed:
    fault = Fault(
        code=FaultCode.PROCESS_DIED,
        message=message,
        hook=hook,
        file=place.file if place else None,
        line=place.line if place else None,
        fix=fix,
        traceback=place.traceback if place else None,
        output=output,
    )
    return Failed(fault=fault)
