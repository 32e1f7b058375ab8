"""A worker's own file system: what is named of the machine's, and nothing else.

It is put together in a mount namespace of the worker's own, below its empty scratch directory,
and then made the root. What must not be there has no name there: no path, link or mode leads to
it. See pivot_root(2).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from advisor.kernel.namespaces import (
    bind,
    make_read_only,
    make_root,
    mount_memory,
    mount_processes,
)

MOST_FILES = 100_000
"""In a directory in memory. Each takes a kilobyte of the kernel's memory, even when it is empty."""

_SKELETON_BYTES, _SKELETON_FILES = 1 << 20, 10_000
_WORLD = Path("/")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}  # fmt: skip


class FileSystem:
    """A root in the making; the machine's own stays in sight until ``enter``."""

    def __init__(self, base: Path, readable: Iterable[Path], hidden: Iterable[Path]) -> None:
        """Mount what may be read.

        Args:
            base: An empty directory, which becomes the root.
            readable: Files and directories; those that do not exist are left out.
            hidden: What is to be empty, though it lies below one of these.

        Raises:
            OSError: The kernel refuses.
        """
        self._base = base
        self._skeletons: list[Path] = []
        self._shown: list[str] = []
        paths = sorted({path for path in readable if path.exists()})
        if _WORLD in paths:
            bind(_WORLD, base)
            make_read_only(base, recursive=True)
            self._shown.append("/")
        else:
            self._add_skeleton(base)
        for path in sorted(paths, key=lambda path: len(os.path.realpath(path))):
            self._show(path)
        for name in sorted({os.path.realpath(path) for path in hidden}):
            self._hide(name)

    def add_own(self, source_dir: Path, writable: Iterable[Path]) -> None:
        """Mount a job's own directories, of which the first is only to be read."""
        make_read_only(self._bind(str(source_dir.resolve())), recursive=True)
        for path in writable:
            self._bind(str(path.resolve()))

    def add_memory(self, path: Path, *, mode: int, size_bytes: int) -> Path:
        """Mount an empty directory of limited size, and return where it is for now."""
        point = self._point(str(path), is_dir=True)
        mount_memory(point, mode=mode, size_bytes=size_bytes, file_count=MOST_FILES)
        return point

    def add_kernel(self, devices: Iterable[Path]) -> None:
        """Mount /proc with the worker's processes alone, /sys, and device files."""
        proc = self._point("/proc", is_dir=True)
        try:
            mount_processes(proc)
        except PermissionError:  # Parts of the machine's are covered, as in most containers.
            make_read_only(self._bind("/proc"), recursive=True)
        if "/" not in self._shown:
            make_read_only(self._bind("/sys"), recursive=True)
        self._add_skeleton(self._point("/dev", is_dir=True))
        for device in devices:
            if device.exists():
                self._bind(str(device))
        for name, target in _DEVICE_LINKS.items():
            (self._inside("/dev") / name).symlink_to(target)

    def enter(self) -> None:
        """Make it the root. There is no way back."""
        for skeleton in self._skeletons:
            make_read_only(skeleton, devices=True)
        make_root(self._base)

    def _inside(self, path: str) -> Path:
        return Path(f"{self._base}{path}")

    def _add_skeleton(self, point: Path) -> None:
        mount_memory(point, mode=0o755, size_bytes=_SKELETON_BYTES, file_count=_SKELETON_FILES)
        self._skeletons.append(point)

    def _show(self, path: Path) -> None:
        real = self._follow(str(path))
        if not any(Path(real).is_relative_to(shown) for shown in self._shown):
            make_read_only(self._bind(real), recursive=True)
            self._shown.append(real)

    def _follow(self, path: str) -> str:
        """Return a path without links, having made on the way the links that it goes through."""
        waiting, done = path.split("/")[::-1], "/"
        while waiting:
            name = waiting.pop()
            here = os.path.normpath(os.path.join(done, name))  # noqa: PTH118 - texts are quicker
            if not os.path.islink(here):  # noqa: PTH114 - as above
                done = here
                continue
            target = os.readlink(here)  # noqa: PTH115 - as above
            link = self._inside(here)
            if not os.path.lexists(link):
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
            waiting += target.split("/")[::-1]
            done = "/" if target.startswith("/") else done
        return done

    def _hide(self, path: str) -> None:
        point = self._inside(path)
        if point.is_dir():
            self._add_skeleton(point)
        elif point.exists():
            bind("/dev/null", point)
            make_read_only(point)  # Nor does it work as a device: nothing can be read.

    def _bind(self, path: str) -> Path:
        point = self._point(path, is_dir=Path(path).is_dir())
        bind(path, point)
        return point

    def _point(self, path: str, *, is_dir: bool) -> Path:
        """Return where something is to be mounted, and make sure that there is something."""
        point = self._inside(path)
        with contextlib.suppress(FileExistsError):
            if is_dir:
                point.mkdir(parents=True)
            elif not point.exists():
                point.parent.mkdir(parents=True, exist_ok=True)
                point.touch()
        return point
