"""Which file systems are reached over a network, where SQLite's locks and shared memory fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")

_NETWORK_KINDS = frozenset(
    {
        "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
        "ocfs2", "panfs", "smb2", "smb3", "smbfs",
        "fuse.ceph-fuse", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.moosefs",
        "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    }
)  # fmt: skip
"""As the kernel names them in its list of mounts. That list, and not the number that statfs(2)
returns, tells apart what FUSE carries: sshfs and a local disk have one number."""


def network_kind(path: Path) -> str | None:
    """Return the kind of network file system that a path is, or would be, on; None for none.

    Where the kernel keeps no list of mounts nothing is known, which is None as well.
    """
    # What does not exist yet will be on the file system of the folder that does.
    real = Path(os.path.realpath(path))
    kind, depth = None, 0
    for mount_point, mounted_kind in _mounts():
        # A later mount at the same place covers the one before.
        if len(mount_point.parts) >= depth and real.is_relative_to(mount_point):
            kind, depth = mounted_kind, len(mount_point.parts)
    return kind if kind in _NETWORK_KINDS else None


def _mounts() -> Iterator[tuple[Path, str]]:
    """Yield mount points and their kinds; the format is that of proc_pid_mountinfo(5)."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        if after:
            yield Path(_unescaped(before.split(" ")[4])), after.split(" ")[0]


def _unescaped(text: str) -> str:
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, char)
    return text
