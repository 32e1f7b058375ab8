"""Files as they are found and read for a bundle: within limits, and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bsadvise.model.errors import SourceUnusable
from bsadvise.model.request import MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES
from bsadvise.model.units import format_bytes

_SKIPPED_NAMES = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache"})


def included_files(include: Sequence[Path]) -> set[Path]:
    """Return the files that are named, and all files of the folders that are.

    A link in a folder is read through while it stays in what was named. One that leads out would
    send what nobody named: a key, from a folder that was cloned.

    Raises:
        SourceUnusable: Something does not exist, leads out, or there is too much of it.
        OSError: A folder cannot be read.
    """
    found: set[Path] = set()
    for path in include:
        if not path.exists():
            raise SourceUnusable(f"{path}, which was to be included, does not exist")
        for file in _walk(path) if path.is_dir() else [path]:
            check_link(file, include)
            if file.is_dir():
                continue  # A link to a folder inside, whose files are found there.
            found.add(file)
            if len(found) > MAX_BUNDLE_FILES:
                raise SourceUnusable(
                    f"{path} has more than {MAX_BUNDLE_FILES:,} files, the most that can be sent; "
                    "include less, and read data from a path that the daemon's machine can see"
                )
    return found


def check_link(file: Path, places: Iterable[Path]) -> None:
    """Raise SourceUnusable where links take a file out of all of these files and folders."""
    real = Path(os.path.realpath(file))
    if not any(real.is_relative_to(os.path.realpath(place)) for place in places):
        raise SourceUnusable(
            f"{file} is a link that leads out of what is sent, to {real}; put a copy in its place, "
            f"or name it: --include {file}"
        )


def read_files(files: Mapping[str, Path]) -> dict[str, bytes]:
    """Return the contents of files by their paths in a bundle.

    Sizes are added up before anything is read.

    Raises:
        SourceUnusable: They are too large together.
        OSError: One cannot be read.
    """
    check_sizes({path: file.stat().st_size for path, file in files.items()})
    contents: dict[str, bytes] = {}
    left_bytes = MAX_BUNDLE_BYTES
    for path, file in files.items():
        with file.open("rb") as stream:
            # What grows meanwhile, or has no size of its own, ends here too.
            contents[path] = stream.read(left_bytes + 1)
        left_bytes -= len(contents[path])
        if left_bytes < 0:
            check_sizes({path: len(content) for path, content in contents.items()})
    return contents


def check_sizes(sizes_bytes: Mapping[str, int]) -> None:
    """Raise SourceUnusable where files are too large together to be sent."""
    total_bytes = sum(sizes_bytes.values())
    if total_bytes <= MAX_BUNDLE_BYTES:
        return
    largest = sorted(sizes_bytes, key=lambda path: sizes_bytes[path], reverse=True)[:3]
    named = ", ".join(f"{path} ({format_bytes(sizes_bytes[path])})" for path in largest)
    raise SourceUnusable(
        f"the model file and what goes with it are {format_bytes(total_bytes)}, more than "
        f"{format_bytes(MAX_BUNDLE_BYTES)}; the largest: {named}. Leave data out, and read it "
        "from a path that the daemon's machine can see"
    )


def _walk(top: Path) -> Iterator[Path]:
    """Yield a folder's files, and links to folders, which are not entered."""
    waiting = [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name in _SKIPPED_NAMES:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file() or entry.is_dir():
                    yield Path(entry.path)
