"""A lock by which the private daemons of one state directory know of each other."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_LOCK_NAME = "private.lock"


class InstanceLock:
    """Held by a daemon while it runs, however it ends.

    Each private daemon shares a lock on one file; the system lets go of it with the process.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _LOCK_NAME
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Take it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._path.open("wb")
        fcntl.flock(file, fcntl.LOCK_SH)
        self._file = file
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def is_held(self) -> bool:
        """Whether it has been entered, and not left since."""
        return self._file is not None

    def is_alone(self) -> bool:
        """Return whether no other private daemon runs. For use between entering and leaving."""
        if self._file is None:
            raise RuntimeError("the lock has not been entered")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._file, fcntl.LOCK_SH)  # An attempt that fails loses it, too.
        return True
