"""The daemon as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXIT_LIMIT_S = 120
"""Far above what any of this takes; a test that waits for so long has failed."""

WATCH_LIMIT_S = 300
"""The same of watching a whole recommendation."""


@contextmanager
def start_daemon(directory: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Start a daemon with its socket and its state in ``directory``; kill it on leaving."""
    command = [sys.executable, "-m", "advisor", "--socket", str(directory / "daemon.sock")]
    daemon = subprocess.Popen(
        [*command, "--state-dir", str(directory / "state"), *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with daemon:
        try:
            yield daemon
        finally:
            daemon.kill()


def wait_until_ready(daemon: subprocess.Popen[str]) -> str:
    """Return the first address of a daemon once it serves."""
    return ready_addresses(daemon)[0]


def ready_addresses(daemon: subprocess.Popen[str]) -> list[str]:
    """Return all addresses of a daemon once it serves."""
    assert daemon.stderr is not None
    for line in daemon.stderr:
        if line.startswith("bsadvise daemon ready on "):
            return line.split()[4:]
    raise AssertionError("the daemon ended before it was ready")
