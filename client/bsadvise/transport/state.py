"""Where private daemons keep their store, their cache and their logs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bsadvise.filesystems import network_kind
from bsadvise.model.errors import DaemonFailed
from bsadvise.paths import HomeMissing, user_folder

_KEPT_LOG_COUNT = 20
_LOCAL_FOLDER = Path("/var/tmp")  # noqa: S108 - on the local disk, and kept over a restart


@dataclass(frozen=True, slots=True)
class StatePlace:
    """Where private daemons keep what they keep, and why there.

    Attributes:
        path: The folder.
        reason: Why it is not the user's cache folder; None where it is.
    """

    path: Path
    reason: str | None = None


def state_place() -> StatePlace:
    """Return the user's cache folder, or one on this machine's disk where that is on a network.

    SQLite's locks do not hold on NFS and its like, and homes of a cluster are that: two machines
    would write one database at once.

    Raises:
        DaemonFailed: There is no home, or no folder where locks work.
    """
    wanted = own_folder("XDG_CACHE_HOME", ".cache") / "bsadvise"
    kind = network_kind(wanted)
    if kind is None:
        return StatePlace(wanted)
    local = _LOCAL_FOLDER / f"bsadvise-{os.getuid()}"
    reason = f"{wanted} is on {kind}, where a database's locks do not hold"
    if network_kind(local) is not None or not _is_ours(local):
        raise DaemonFailed(
            f"{reason}, and {local} is no folder of yours on a local disk either; name one with "
            "XDG_CACHE_HOME"
        )
    return StatePlace(local, reason)


def own_folder(variable: str, below_home: str) -> Path:
    """Return one of the user's folders; see ``user_folder``. Raises DaemonFailed."""
    try:
        return user_folder(os.environ, variable, below_home)
    except HomeMissing as error:
        raise DaemonFailed(f"a daemon can be neither found nor started: {error}") from error


def open_log(state_dir: Path) -> tuple[Path, IO[bytes]]:
    """Return a new log for a daemon, and what to write and read it with; remove old ones.

    Raises:
        DaemonFailed: There is no writing there.
    """
    folder = state_dir / "logs"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        prefix = time.strftime("%Y-%m-%dT%H-%M-%S-")
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".log", dir=folder)
    except OSError as error:
        raise DaemonFailed(
            f"a private daemon could not be started: {folder} cannot be written: {error.strerror}; "
            "name another place for its cache with XDG_CACHE_HOME"
        ) from error
    stream = os.fdopen(descriptor, "w+b")
    # The daemon inherits the lock with the file, and holds it until it ends.
    fcntl.flock(stream, fcntl.LOCK_EX)
    _remove_old_logs(folder, new=Path(name))
    return Path(name), stream


def _remove_old_logs(folder: Path, new: Path) -> None:
    # By time: their names begin so, to the second. Of those of one second any may go but the new.
    others = sorted(path for path in folder.glob("*.log") if path != new)
    for path in others[: -(_KEPT_LOG_COUNT - 1)]:
        with contextlib.suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not of a daemon that runs
            path.unlink()


def _is_ours(folder: Path) -> bool:
    """Return whether a folder, made if need be, is open to this user alone."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    is_closed = not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and is_closed
