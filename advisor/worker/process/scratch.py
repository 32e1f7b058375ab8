"""A worker's own directory for temporary files: made before it, removed after it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PREFIX = "bsadvise-scratch-"


def make_scratch() -> Path:
    """Return a new directory that nobody else may enter.

    It lies where temporary files do, since its path must stay short: the processes of a
    DataLoader meet at sockets below it, whose paths may not exceed 107 bytes.
    """
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def use_scratch(directory: Path, *, is_confined: bool) -> None:
    """Have this process, and what it starts, put its temporary files and caches there.

    Args:
        directory: Where.
        is_confined: Whether nothing can be written elsewhere, so that caches which the user has
            elsewhere are of no use.
    """
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    for variable in ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH"):
        if is_confined or variable not in os.environ:
            os.environ[variable] = str(directory / variable.lower())
