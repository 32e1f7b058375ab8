"""A worker's own directory for temporary files: made before it, removed after it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

PREFIX = "bsadvise-scratch-"


def make_scratch() -> Path:
    """Return a new directory that nobody else may enter.

    It lies where temporary files do, since its path must stay short: the processes of a
    DataLoader meet at sockets below it, whose paths may not exceed 107 bytes.
    """
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def use_scratch(directory: Path) -> None:
    """Have this process, and what it starts, put its temporary files and caches there."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    for variable in ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH"):
        os.environ.setdefault(variable, str(directory / variable.lower()))


def remove_scratch(directory: Path) -> None:
    """Remove a directory and all below it, however user code has left it."""

    def retry(_: Callable[[str], object], path: str, __: object) -> None:
        # Its mode may forbid even its owner to enter it or to change what it holds.
        for mended in (Path(path).parent, Path(path)):
            if mended.is_relative_to(directory) and not mended.is_symlink():
                mended.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    try:
        shutil.rmtree(directory, onerror=retry)
    except OSError:  # Such as a file system that has turned read-only.
        shutil.rmtree(directory, ignore_errors=True)
