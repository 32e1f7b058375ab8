"""Shuts a worker in: what it needs stays within reach, the rest of the machine does not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import bsadvise

from advisor.kernel.capabilities import drop_capabilities
from advisor.kernel.landlock import Ruleset, landlock_abi
from advisor.kernel.seccomp import CallFilter, can_filter, filter_calls
from advisor.pipe.v1 import pipe_pb2

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/etc", "/nix/store")
_KERNEL = ("/proc", "/sys")
"""Libraries count processors and look for cards there. Other processes' memory, environment and
files stay closed to a process with fewer rights than theirs."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "kfd", "dri")
_OUR_PACKAGE = Path(__file__).resolve().parents[2]


def enter_sandbox(sandbox: pipe_pb2.Sandbox, writable: Iterable[Path], source_dir: Path) -> None:
    """Give up every file and, unless it is allowed, the network. There is no way back.

    Args:
        sandbox: What may be reached beside what every worker needs.
        writable: The job's own directories.
        source_dir: The bundle, to be read.

    Raises:
        OSError: The kernel refuses; user code must then not run.
    """
    if can_filter():
        filter_calls(
            CallFilter(
                allow_network=sandbox.allow_network,
                allow_memory_files=sandbox.allow_memory_files,
            )
        )
    if landlock_abi():  # Else the file system is one that holds nothing more.
        _give_up_files(sandbox, writable, source_dir)
    drop_capabilities()


def _give_up_files(sandbox: pipe_pb2.Sandbox, writable: Iterable[Path], source_dir: Path) -> None:
    hidden = _Hidden(sandbox.hidden_paths)
    rules = Ruleset(allow_network=sandbox.allow_network)
    roots = {*_python_paths(), *map(Path, (*_SYSTEM, *sandbox.readable_paths))}
    for root in {str(root.resolve()) for root in roots}:
        passed: list[str] = []
        rules.allow_reading(hidden.spare(root, passed))
        rules.allow_listing(passed)
    rules.allow_reading((*_KERNEL, source_dir))
    rules.allow_everything([*writable, *_device_files()])
    rules.enforce()


def _python_paths() -> Iterator[Path]:
    """Yield where this interpreter finds itself and its modules."""
    yield from map(Path, (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix))
    yield from (Path(entry) for entry in sys.path if entry)
    yield from (Path(sys.executable).resolve().parent, _OUR_PACKAGE)
    yield from map(Path, bsadvise.__path__)


def _device_files() -> Iterator[Path]:
    device_dir = Path("/dev")
    yield from (device_dir / name for name in _DEVICES)
    yield from device_dir.glob("nvidia*")


class _Hidden:
    """Paths that are not to be read, and how to name all the others."""

    def __init__(self, paths: Iterable[str]) -> None:
        resolved = [Path(path).resolve() for path in paths]
        # Texts: a home directory has hundreds of entries, and workers start in milliseconds.
        self._paths = {str(path) for path in resolved}
        self._above = {str(parent) for path in resolved for parent in path.parents}

    def spare(self, root: str, passed: list[str]) -> Iterator[str]:
        """Yield paths that together hold all at and below ``root`` but what is hidden.

        Rules only add, so that a directory with something hidden below it gives way to its
        entries.

        Args:
            root: A path without links.
            passed: Takes the directories that gave way.
        """
        if root in self._paths:
            return
        if root not in self._above:
            yield root
            return
        passed.append(root)
        try:
            entries = list(os.scandir(root))
        except OSError:
            return
        for entry in entries:
            # What a link leads to is yielded where it stands itself, or is hidden there.
            if not entry.is_symlink():
                yield from self.spare(entry.path, passed)
