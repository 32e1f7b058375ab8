"""Shuts a worker in: what it needs stays within reach, the rest of the machine does not."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import bsadvise

from advisor.kernel.capabilities import allow_inspection, become_user, drop_capabilities
from advisor.kernel.landlock import Ruleset, landlock_abi
from advisor.kernel.namespaces import Namespace, keep_mounts_to_itself, leave
from advisor.kernel.seccomp import CallFilter, can_filter, filter_calls
from advisor.kernel.user_namespace import maps_all_users
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.process.file_system import FileSystem

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/nix/store")
_DRIVERS = ("amdgpu*", "cuda*", "intel*", "nvidia*", "rocm*")
"""Below /opt, where other people's programs are too."""

_KERNEL = ("/proc", "/sys")
"""Libraries count processors and look for cards there. Other processes' memory, environment and
files stay closed to a process with fewer rights than theirs."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "kfd", "dri", "dxg")
"""Beside NVIDIA's: AMD's compute driver, what renders, and GPUs under the Windows Subsystem."""
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's name of it
_NAME_SERVICE = "/etc/resolv.conf"
"""Often a link out of /etc; of use where there is a network."""

_OUR_PACKAGE = Path(__file__).resolve().parents[2]

_FIRST_UID = 0x70000000
"""Users from here on belong to nobody else by systemd's division of them; workers of root's have
one each, by their process id."""


def enter_sandbox(
    sandbox: pipe_pb2.Sandbox, scratch_dir: Path, checkpoint_dir: Path, source_dir: Path
) -> None:
    """Give up other files, processes and, unless it is allowed, the network. There is no way back.

    Args:
        sandbox: What may be reached beside what every worker needs.
        scratch_dir: Where temporary files go.
        checkpoint_dir: Where checkpoints are.
        source_dir: The bundle, to be read.

    Raises:
        OSError: The kernel refuses; user code must then not run.
    """
    readable = {*_python_paths(), *map(Path, (*_SYSTEM, *sandbox.readable_paths))}
    for pattern in _DRIVERS:
        readable.update(Path("/opt").glob(pattern))
    if sandbox.allow_network:
        readable.add(Path(_NAME_SERVICE))
    writable = (scratch_dir, checkpoint_dir)
    if sandbox.has_namespaces:
        _move(sandbox, readable, scratch_dir, checkpoint_dir, source_dir)
    else:
        drop_capabilities()
    if can_filter():
        filter_calls(
            CallFilter(
                allow_network=sandbox.allow_network,
                has_own_pids=sandbox.has_namespaces,
                has_own_files=sandbox.has_namespaces,
                allow_memory_files=sandbox.allow_memory_files,
            )
        )
    if landlock_abi():  # Else the file system is one that holds nothing more.
        _give_up_files(sandbox, readable, writable, source_dir)


def _move(
    sandbox: pipe_pb2.Sandbox,
    readable: Iterable[Path],
    scratch_dir: Path,
    checkpoint_dir: Path,
    source_dir: Path,
) -> None:
    """Move into a file system of the worker's own, as a user of its own where that may be."""
    # The machine's /proc, which is about to go, has the number that no other worker has.
    uid = _FIRST_UID + int(Path("/proc/self").readlink().name)
    changes_user = sandbox.change_user and os.geteuid() == 0 and maps_all_users()
    devices = list(_device_files())
    leave(Namespace.MOUNT)
    keep_mounts_to_itself()
    files = FileSystem(scratch_dir, readable, map(Path, sandbox.hidden_paths))
    files.add_own(source_dir, [checkpoint_dir])
    files.add_kernel(devices)
    files.add_memory(_SHARED_MEMORY, mode=0o1777, size_bytes=sandbox.shared_memory_bytes)
    scratch = files.add_memory(scratch_dir, mode=0o700, size_bytes=sandbox.scratch_bytes)
    if changes_user:
        os.chown(scratch, uid, uid)
        os.chown(checkpoint_dir, uid, uid)
    files.enter()
    if changes_user:
        become_user(uid, _groups_of(devices))
    else:
        drop_capabilities()
    allow_inspection()


def _groups_of(devices: Iterable[Path]) -> set[int]:
    """Return the groups, but for root's, that device files are open to."""
    found = set()
    for device in devices:
        below = device.iterdir() if device.is_dir() else [device]
        statuses = [path.stat() for path in below if path.exists()]
        found |= {s.st_gid for s in statuses if s.st_mode & stat.S_IWGRP}
    return found - {0}


def _give_up_files(
    sandbox: pipe_pb2.Sandbox,
    readable: Iterable[Path],
    writable: Iterable[Path],
    source_dir: Path,
) -> None:
    hidden = _Hidden(sandbox.hidden_paths)
    rules = Ruleset(allow_network=sandbox.allow_network)
    for root in {str(root.resolve()) for root in readable}:
        passed: list[str] = []
        rules.allow_reading(hidden.spare(root, passed))
        rules.allow_listing(passed)
    rules.allow_reading((*_KERNEL, source_dir))
    rules.allow_everything([*writable, *_device_files(), _SHARED_MEMORY])
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
