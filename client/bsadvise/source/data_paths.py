"""Data that a script finds where it lies, without its being sent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bsadvise.model.errors import SourceUnusable
from bsadvise.source.bundle import find_root


def name_data_paths(script: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return absolute paths of data by what a script calls them, as a request has them.

    Args:
        script: The script, by its absolute path.
        paths: Files and folders, by their absolute paths.

    Raises:
        SourceUnusable: One lies neither below the script's root nor in the folder above it.
    """
    root = find_root(script)
    named = {}
    for path in paths:
        name = Path(os.path.relpath(path, root)).as_posix()
        if name in (".", "..") or name.startswith("../../"):
            raise SourceUnusable(
                f"{path} lies neither below {root} nor beside it: have the script read it by its "
                "absolute path, for which no --data-path is needed"
            )
        named[name] = str(path)
    return named
