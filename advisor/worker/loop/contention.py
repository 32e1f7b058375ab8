"""How long this process waits for processors that others have."""

from __future__ import annotations

from pathlib import Path

_NANOSECONDS_PER_S = 1e9


def processor_wait_s(root: Path = Path("/")) -> float | None:
    """Return the seconds for which the threads there are have waited for a processor so far.

    Their sum, over the whole life of each: what matters is by how much it grows.

    Args:
        root: Where the file system begins; another one in tests.

    Returns:
        Seconds; None where the kernel does not say (it must be Linux, with schedstats).
    """
    waits_ns = []
    for path in (root / "proc/self/task").glob("*/schedstat"):
        try:
            # Nanoseconds run, nanoseconds waited to run, and how often it ran.
            _, waited_ns, _ = map(int, path.read_text(encoding="ascii").split())
        except (OSError, ValueError):
            continue  # The thread has ended.
        waits_ns.append(waited_ns)
    return sum(waits_ns) / _NANOSECONDS_PER_S if waits_ns else None
