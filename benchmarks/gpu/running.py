"""Runs a step in a process group of its own, and ends all of it at its limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import Status
from benchmarks.gpu.report import read_json

_END_S = 10.0
"""Seconds for a step to end by itself once told to, and its daemon with it."""
_MOST_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a step went.

    Attributes:
        status: How it ended.
        seconds: Its wall-clock time.
        limit_s: Seconds that it had.
        skips: Why it was skipped, or which parts of it were.
        error: The end of what it printed, where it failed.
        figures: What it measured, by name.
    """

    status: Status
    seconds: float = 0.0
    limit_s: float | None = None
    skips: tuple[str, ...] = ()
    error: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)


def run_step(command: Sequence[str], limit_s: float, skips: tuple[str, ...] = ()) -> Outcome:
    """Run a command, which writes figures to the file that its last argument then names.

    What it prints is printed as it ends; the figures that it had noted are kept however it ends.

    Args:
        command: The command, without that last argument.
        limit_s: Seconds after which it, and what it started, is ended.
        skips: Which parts of the step are skipped.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures, log = Path(folder) / "figures.json", Path(folder) / "log"
        began_s = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                (*command, str(figures)),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            status = _wait(process, limit_s)
        seconds = time.monotonic() - began_s
        printed = log.read_text(encoding="utf-8", errors="replace")
        print(printed, end="", flush=True)
        return Outcome(
            status=status,
            seconds=round(seconds, 2),
            limit_s=round(limit_s, 2),
            skips=skips,
            error=None if status is Status.DONE else _last_line(printed),
            figures=read_json(figures),
        )


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> Status:
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        return Status.TIMED_OUT
    finally:
        _signal(process, signal.SIGKILL)  # What it has left behind.
        process.wait()
    return Status.DONE if process.returncode == 0 else Status.FAILED


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _last_line(printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.strip()]
    return lines[-1][:_MOST_CHARACTERS] if lines else "it printed nothing"
