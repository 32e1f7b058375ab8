"""The daemon as it is, but for its workers and its clock.

Its workers are simulated; a command takes no time, so that a plan depends on nothing but the
log; and a test can set the time of day.

Run as ``python -m tests.support.chaos_daemon CLOCK_FILE FLAG...``. The file holds the seconds by
which the daemon's clock is wrong. Where the environment names ``FAILPOINTS``, a number, cleaning
and compaction fail at each call but every such one, and housekeeping is done all the time.
"""

from __future__ import annotations

import functools
import itertools
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import advisor.application.housekeeping
import advisor.application.workspace
import advisor.pools.fork_server
import advisor.pools.local
import advisor.store.database
import advisor.wiring
from advisor.__main__ import main
from advisor.pools.local import LocalPool
from tests.support import simulated_worker

P = ParamSpec("P")
T = TypeVar("T")

FAILPOINTS = "PYTORCH_BSADVISE_FAILPOINTS"

_ERRORS = (
    OSError("failpoint"),
    RecursionError("failpoint"),
    MemoryError("failpoint"),
    sqlite3.OperationalError("failpoint"),
)


def failing(function: Callable[P, T], period: int) -> Callable[P, T]:
    """Return a function that works at every call of a period, and raises at all others."""
    counter = itertools.count(1)

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        if (number := next(counter)) % period:
            raise _ERRORS[number % len(_ERRORS)]
        return function(*arguments, **named)

    return call


def set_failpoints(period: int) -> None:
    """Let cleaning and compaction fail, and be done all the time."""
    vars(advisor.application.housekeeping)["ROUND_S"] = 0.05
    places = {
        advisor.store.database: "compact",
        advisor.application.workspace: "remove_tree",
        advisor.pools.fork_server: "remove_tree",
        advisor.pools.local: "remove_tree",
    }
    for module, name in places.items():
        vars(module)[name] = failing(vars(module)[name], period)


class WrongClock(advisor.wiring.SystemClock):
    """A clock that a file sets, by which no command takes any time."""

    path = Path()

    def now_s(self) -> float:
        return time.time() + float(self.path.read_text() or 0)

    def monotonic_s(self) -> float:
        return 0.0


if __name__ == "__main__":
    WrongClock.path = Path(sys.argv.pop(1))
    if FAILPOINTS in os.environ:
        set_failpoints(int(os.environ[FAILPOINTS]))
    pool = functools.partial(LocalPool, simulated_worker.COMMAND)
    vars(advisor.wiring).update(LocalPool=pool, SystemClock=WrongClock)
    sys.exit(main())
