"""Tries what a worker's namespaces need, and ends with an error where it may not be done.

Run as ``python -m advisor.worker.process.namespace_trial`` in a user namespace. A file system is
put together as a worker's is, so that whatever a kernel or a container forbids shows here.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from advisor.kernel.namespaces import Namespace, keep_mounts_to_itself, leave
from advisor.worker.process.enclosure import Enclosure, Enclosures
from advisor.worker.process.file_system import FileSystem


def main() -> None:
    """Make each kind of namespace and mount once."""
    enclosures = Enclosures(allow_network=False)
    enclosure = enclosures.take()
    with tempfile.TemporaryDirectory() as directory:
        pid = enclosures.fork_into(enclosure)
        if pid == 0:
            _be_worker(enclosures, enclosure, Path(directory))
        _, status = os.waitpid(pid, 0)
    enclosure.end(limit_s=1.0)
    sys.exit(status)


def _be_worker(enclosures: Enclosures, enclosure: Enclosure, base: Path) -> NoReturn:
    try:
        enclosures.join(enclosure)
        leave(Namespace.MOUNT)
        keep_mounts_to_itself()
        files = FileSystem(base, [Path("/usr")], [])
        files.add_own(Path("/usr"), [])
        files.add_kernel([Path("/dev/null")])
        files.add_memory(Path("/dev/shm"), mode=0o1777, size_bytes=1 << 20)  # noqa: S108 - its name
        files.enter()
        os._exit(0)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
