"""Runs a script as Python itself would: as ``__main__``, with its arguments, to its end."""

from __future__ import annotations

import linecache
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from importlib.machinery import SourceFileLoader
from pathlib import Path

from bsadvise.model.measurements import Fault, OutOfMemory

from advisor.worker.scripts.handler import ScriptHandler, StopScript
from advisor.worker.scripts.interception import intercepted
from advisor.worker.scripts.lone_module import NotTrainable, train_lone_module
from advisor.worker.scripts.main_thread import MAIN_THREAD
from advisor.worker.user.diagnosis import explain
from advisor.worker.user.oom import out_of_memory

_USAGE_CODE = 2
"""What argparse, click and others exit with where the command line is at fault."""

_USAGE_FIX = "What stands after `--` is the script's: give it as you do when you start the script."


class EndingKind(Enum):
    """How a script's run ended."""

    RETURNED = "returned"
    """It came to its last line."""
    EXITED = "exited"
    """It called ``sys.exit``."""
    RAISED = "raised"
    """An exception came out of it."""
    STOPPED = "stopped"
    """The handler stopped it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a script's run ended.

    Attributes:
        kind: In which way.
        exit_code: What the process would have ended with; 0 where it was stopped.
        fault: Where and why, of what was raised and of an exit with a code other than 0.
        memory: What was said of memory, where that ran out.
    """

    kind: EndingKind
    exit_code: int = 0
    fault: Fault | None = None
    memory: OutOfMemory | None = None


def run_script(
    copy: Path, entry_path: str, handler: ScriptHandler, model_class: str = ""
) -> Ending:
    """Run a script until it ends, or the handler stops it. Never raises.

    To be called within ``surroundings``. In the main thread, where that is lent to others: scripts
    set signal handlers.

    Args:
        copy: The copy of its files.
        entry_path: The script inside it.
        handler: Told of its training.
        model_class: Class of the Lightning module to train, where it trains nothing itself; empty
            for the only one.
    """
    return MAIN_THREAD.call(lambda: _run(copy, entry_path, handler, model_class))


def _run(copy: Path, entry_path: str, handler: ScriptHandler, model_class: str) -> Ending:
    with _restored_process(), intercepted(handler) as interception:
        try:
            main = _run_as_main(copy / entry_path)
            if not interception.has_trained:
                train_lone_module(main, entry_path, model_class)
        except NotTrainable as error:
            return Ending(kind=EndingKind.RAISED, exit_code=1, fault=error.fault)
        except BaseException as error:  # noqa: BLE001 - how it ended is the answer
            if interception.is_stopped or isinstance(error, StopScript):
                return Ending(kind=EndingKind.STOPPED)
            return _ending_of(error, copy, entry_path)
        # Whoever catches everything may go on to the end after the stop.
        is_stopped = interception.is_stopped
        return Ending(kind=EndingKind.STOPPED if is_stopped else EndingKind.RETURNED)


def _run_as_main(path: Path) -> types.ModuleType:
    """Run a file in a new module ``__main__``, which stays: what it defines is looked up there.

    Raises:
        BaseException: What comes out of it.
    """
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    main.__loader__ = SourceFileLoader("__main__", str(path))
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    linecache.checkcache(str(path))
    code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102 - to run it is what we are here for
    return main


def _ending_of(error: BaseException, copy: Path, entry_path: str) -> Ending:
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return Ending(kind=EndingKind.EXITED)
    # No hook of a model file's: the place says enough.
    fault = replace(explain(error, "", copy, entry_path), hook=None)
    if isinstance(error, SystemExit):
        # As Python has it: what is no number is printed, and the code is 1.
        code = error.code if isinstance(error.code, int) else 1
        fix = _USAGE_FIX if code == _USAGE_CODE else None
        return Ending(kind=EndingKind.EXITED, exit_code=code, fault=replace(fault, fix=fix))
    return Ending(kind=EndingKind.RAISED, exit_code=1, fault=fault, memory=out_of_memory(error))


@contextmanager
def _restored_process() -> Iterator[None]:
    """Restore afterwards what scripts set for their whole process, as far as others need it."""
    streams = {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr", "excepthook")}
    # Only the main thread may set signal handlers. None is one that Python did not set.
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in signal.Signals} if is_main else {}
    try:
        yield
    finally:
        for name, value in streams.items():
            setattr(sys, name, value)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
