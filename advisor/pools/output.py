"""What user code prints, kept in a nameless temporary file of which only the end is read."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from bsadvise.printable import printable

TAIL_BYTES = 4096

MOST_BYTES = 64 << 20
"""What the file may hold before all but its end is let go."""

_BLOCK_BYTES = 512

_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_UNPRINTABLE = re.compile(r"[^\n\t -~\u00a0-\uffff\U00010000-\U0010ffff]")


class Output:
    """Standard output and standard error of one worker, in the order in which they were written."""

    def __init__(self) -> None:
        # Opened twice: who shares the description of an open file changes its flags for all.
        # Appended to, so that what is written after clear() begins at the beginning again.
        with contextlib.ExitStack() as on_failure:
            with tempfile.NamedTemporaryFile(prefix="bsadvise-output-") as named:
                path = Path(named.name)
                self._workers_file = on_failure.enter_context(path.open("ab", buffering=0))
                self._file = on_failure.enter_context(path.open("a+b", buffering=0))
            on_failure.pop_all()

    def fileno(self) -> int:
        """Return the descriptor to give to the worker."""
        return self._workers_file.fileno()

    def size_bytes(self) -> int:
        """Return how much was printed since ``clear``, in bytes. Raises OSError."""
        return os.fstat(self._file.fileno()).st_size

    def clear(self) -> None:
        """Forget what was printed so far. Raises OSError."""
        self._file.truncate(0)

    def trim(self) -> None:
        """Let go of all but the end of a file that has grown too large. May lose a line.

        Raises:
            OSError: It cannot be read or written.
        """
        status = os.fstat(self._file.fileno())
        size_bytes, taken_bytes = status.st_size, status.st_blocks * _BLOCK_BYTES
        if max(size_bytes, taken_bytes) > MOST_BYTES:
            end = os.pread(self._file.fileno(), TAIL_BYTES, max(0, size_bytes - TAIL_BYTES))
            self._file.truncate(0)
            self._file.write(end)

    def tail(self, most_bytes: int = TAIL_BYTES) -> str | None:
        """Return the end of what was printed, as plain text; None when that is nothing."""
        start = max(0, self.size_bytes() - most_bytes)
        data = os.pread(self._file.fileno(), most_bytes, start)
        return plain_text(data.decode(errors="replace")) or None

    def close(self) -> None:
        """Remove the file. Idempotent."""
        self._workers_file.close()
        self._file.close()


def plain_text(text: str) -> str:
    """Return a text without what a terminal would obey; a progress bar becomes lines.

    What would turn the direction of a line is written out.
    """
    text = _ESCAPE_SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return printable(_UNPRINTABLE.sub("\ufffd", text)).strip()
