"""Removes trees of files that untrusted code has left, whatever their shape.

It works on descriptors alone, so that no link is followed and no path is too long. A folder that
lies in another one is first moved up to the root of its tree: neither memory, descriptors nor
stack grow with the depth.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST_ROUNDS = 8
"""Of removing all that is there: the second finds nothing, unless somebody still writes."""

_OWNER_ALL = 0o700
_TO_NAME = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TO_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def remove_tree(path: Path) -> str | None:
    """Remove a folder and all below it.

    Closed folders are opened first; links are removed, never followed. May be called again, and
    while another caller removes the same tree.

    Args:
        path: The folder; a file or a link is removed as well.

    Returns:
        Why something is left; None when nothing is. No OSError is raised.
    """
    reason: str | None = None
    try:
        with _opened(str(path)) as root_fd:
            reason = _Removal(root_fd).run()
        path.rmdir()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return _unlink(path)
    except OSError as error:
        return reason or _said(str(path), error)
    return None


def open_to_owner(path: Path) -> None:
    """Give its owner every right on a folder. A link is not followed. Raises OSError."""
    with _opened(str(path)):
        pass


@contextmanager
def temporary_dir(parent: Path, prefix: str = "tmp") -> Iterator[Path]:
    """Make an empty folder, and remove it on leaving, however it was filled. Raises OSError."""
    path = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        yield path
    finally:
        remove_tree(path)


class _Removal:
    """Empties the folder that a descriptor names. Keeps the first reason of a failure alone."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._reason: str | None = None
        self._removed_count = 0
        # Of folders that were moved up: a name that nobody can guess, and a number.
        self._prefix = ""
        self._moved_count = 0

    def run(self) -> str | None:
        """Remove what can be, and return why the rest cannot."""
        for _ in range(_MOST_ROUNDS):
            self._reason, before = None, self._removed_count
            self._remove_all()
            if self._removed_count == before:
                break
        return self._reason

    def _remove_all(self) -> None:
        self._prefix, self._moved_count = f".{secrets.token_hex(8)}-", 0
        self._empty(self._root_fd)
        number = 0
        while number < self._moved_count:  # It grows, since these hold folders as well.
            self._remove_folder(self._root_fd, f"{self._prefix}{number}")
            number += 1

    def _empty(self, folder_fd: int) -> None:
        """Remove the files of a folder, and move its folders up; those of the root are emptied."""
        is_root = folder_fd == self._root_fd
        with os.scandir(folder_fd) as entries:
            for entry in entries:
                if is_root and entry.name.startswith(self._prefix):
                    continue  # Its number comes.
                try:
                    os.unlink(entry.name, dir_fd=folder_fd)
                    self._removed_count += 1
                except FileNotFoundError:
                    continue
                except IsADirectoryError:
                    if is_root:
                        self._remove_folder(folder_fd, entry.name)
                    else:
                        self._move_up(folder_fd, entry.name)
                except OSError as error:
                    self._note(entry.name, error)

    def _remove_folder(self, parent_fd: int, name: str) -> None:
        try:
            with _opened(name, parent_fd) as folder_fd:
                self._empty(folder_fd)
            os.rmdir(name, dir_fd=parent_fd)
            self._removed_count += 1
        except FileNotFoundError:
            return
        except OSError as error:
            self._note(name, error)

    def _move_up(self, parent_fd: int, name: str) -> None:
        try:
            with _opened(name, parent_fd):  # To move a folder one must be allowed to write in it.
                new_name = f"{self._prefix}{self._moved_count}"
                os.rename(name, new_name, src_dir_fd=parent_fd, dst_dir_fd=self._root_fd)
                self._moved_count += 1
        except FileNotFoundError:
            return
        except OSError as error:
            self._note(name, error)

    def _note(self, name: str, error: OSError) -> None:
        self._reason = self._reason or _said(name, error)


@contextmanager
def _opened(name: str, parent_fd: int | None = None) -> Iterator[int]:
    """Open a folder to list and to change what it holds, closed or not. Raises OSError."""
    named_fd = os.open(name, _TO_NAME, dir_fd=parent_fd)
    try:
        mode = os.fstat(named_fd).st_mode
        if mode & _OWNER_ALL != _OWNER_ALL:
            # A descriptor that only names a folder cannot be given to fchmod.
            os.chmod(f"/proc/self/fd/{named_fd}", _OWNER_ALL)  # noqa: PTH101 - of a descriptor
        folder_fd = os.open(".", _TO_LIST, dir_fd=named_fd)
    finally:
        os.close(named_fd)
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)


def _unlink(path: Path) -> str | None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        return _said(str(path), error)
    return None


def _said(name: str, error: OSError) -> str:
    return f"{name!a:.200}: {error.strerror}"
