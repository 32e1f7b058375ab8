"""Writes changed files in the place of those that were sent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bsadvise.model.errors import BsadviseError


def write_files(root: Path, sent: Mapping[str, bytes], changed: Mapping[str, bytes]) -> None:
    """Replace files, each in one step, with the permissions that they have; links stay links.

    Args:
        root: Folder that the paths are relative to.
        sent: Content of the files as they were read.
        changed: Content to be there.

    Raises:
        BsadviseError: A file has changed since it was read, and none is written; or one cannot be
            written.
    """
    # Behind a link is what is to be changed.
    places = {file: Path(os.path.realpath(root / file)) for file in changed}
    try:
        for file, place in places.items():
            if place.read_bytes() != sent[file]:
                raise BsadviseError(
                    f"{place} has changed since it was read, and nothing is written; ask again"
                )
            if not os.access(place, os.W_OK):
                raise BsadviseError(f"{place} is read-only, and nothing is written")
        for file, place in places.items():
            _replace(place, changed[file])
    except OSError as error:
        raise BsadviseError(f"{error.filename} cannot be written: {error.strerror}") from error


def _replace(place: Path, content: bytes) -> None:
    before = place.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            with suppress(PermissionError):  # Another's file stays theirs where that may be.
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
        unfinished.replace(place)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
