"""How a path that a user gave is read, the same at every entrance, and where the user's own are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path


class HomeMissing(Exception):
    """The user has no home folder; the message says what to set."""


def normalise(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of the same file, without ``.`` and ``..``.

    Symbolic links are kept: a file is imported, included and read again where the user says that
    it is, not where a link leads. Only one that ``..`` comes back through is followed, as the
    system does: the parent of a linked folder is that of the folder, not of the link.

    Args:
        path: Relative to the working directory, absolute, or below a home: ``~`` and ``~name`` at
            the beginning are expanded, since no shell does that for files, for variables and for
            ``--flag=~/path``. A file whose name begins so is ``./~name``.
    """
    # Not pathlib's, which takes "./~name" for "~name".
    expanded = os.path.expanduser(path)  # noqa: PTH111
    whole = Path.cwd() / expanded
    normal = Path(whole.anchor)
    for part in whole.parts[1:]:
        if part != "..":
            normal /= part
        elif normal.is_symlink():
            # Not Path.resolve, which raises where links go round in circles.
            normal = Path(os.path.realpath(normal)).parent
        else:
            normal = normal.parent
    return normal


def normalise_all(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return each of some paths as ``normalise`` does."""
    return [normalise(path) for path in paths]


def socket_secret_path(socket: Path) -> Path:
    """Return where a daemon keeps what callers through its unix socket show."""
    return socket.with_name(f"{socket.name}.secret")


def user_folder(environment: Mapping[str, str], variable: str, below_home: str) -> Path:
    """Return one of the user's folders, as the XDG specification names them.

    Args:
        environment: Environment variables.
        variable: What names the folder, such as ``XDG_CACHE_HOME``; relative paths are ignored,
            as the specification has it: the working directory would decide.
        below_home: Where it is without that, below the home folder.

    Raises:
        HomeMissing: Neither says where it is.
    """
    value = environment.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - raises nothing
    if not home.startswith("/"):
        raise HomeMissing(f"there is no home folder; set HOME or {variable} to an absolute path")
    return Path(home) / below_home
