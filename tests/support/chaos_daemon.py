"""The daemon as it is, but for its workers and its clock.

Its workers are simulated; a command takes no time, so that a plan depends on nothing but the
log; and a test can set the time of day.

Run as ``python -m tests.support.chaos_daemon CLOCK_FILE FLAG...``. The file holds the seconds by
which the daemon's clock is wrong.
"""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path

import advisor.wiring
from advisor.__main__ import main
from advisor.pools.local import LocalPool
from tests.support import simulated_worker


class WrongClock(advisor.wiring.SystemClock):
    """A clock that a file sets, by which no command takes any time."""

    path = Path()

    def now_s(self) -> float:
        return time.time() + float(self.path.read_text() or 0)

    def monotonic_s(self) -> float:
        return 0.0


if __name__ == "__main__":
    WrongClock.path = Path(sys.argv.pop(1))
    pool = functools.partial(LocalPool, simulated_worker.COMMAND)
    vars(advisor.wiring).update(LocalPool=pool, SystemClock=WrongClock)
    sys.exit(main())
