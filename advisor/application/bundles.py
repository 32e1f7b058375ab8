"""Which paths and sizes a bundle of source files may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

from bsadvise.model.request import MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES
from bsadvise.model.units import format_bytes

from advisor.domain.errors import SourceRejected

MAX_NAME_BYTES = 255
"""What common file systems allow in one name."""

MAX_PATH_BYTES = 1024

Unpack = Callable[[bytes], Iterable[tuple[str, bytes]]]
"""Returns the paths and contents in a bundle. Raises SourceRejected when it is damaged."""


def check_size(size_bytes: int) -> None:
    """Raise SourceRejected when a bundle is larger than may be uploaded."""
    if size_bytes > MAX_BUNDLE_BYTES:
        raise SourceRejected(f"the bundle is larger than {format_bytes(MAX_BUNDLE_BYTES)}")


def checked_files(files: Iterable[tuple[str, bytes]]) -> Mapping[str, bytes]:
    """Return a bundle's files by path.

    Args:
        files: Paths and contents, as they were uploaded.

    Raises:
        SourceRejected: A path leads outside the bundle, cannot be a file's, or comes twice;
            or there are too many.
    """
    checked: dict[str, bytes] = {}
    for path, content in files:
        if not is_plain_path(path):
            raise SourceRejected(f"{path[:100]!r} is not a plain relative path")
        if path in checked:
            raise SourceRejected(f"{path!r} comes twice")
        checked[path] = content
        if len(checked) > MAX_BUNDLE_FILES:
            raise SourceRejected(f"the bundle has more than {MAX_BUNDLE_FILES} files")
    _check_no_file_is_a_directory(checked)
    return checked


def is_plain_path(path: str) -> bool:
    """Return whether a path names a file below where it starts from, on any file system."""
    parts = path.split("/")
    return (
        all(part not in {"", ".", ".."} for part in parts)
        and all(len(part.encode()) <= MAX_NAME_BYTES for part in parts)
        and len(path.encode()) <= MAX_PATH_BYTES
        and "\\" not in path
        and path.isprintable()
    )


def _check_no_file_is_a_directory(files: Mapping[str, bytes]) -> None:
    for path in files:
        for parent in PurePosixPath(path).parents:
            if str(parent) in files:
                raise SourceRejected(f"{str(parent)!r} is both a file and a directory")
