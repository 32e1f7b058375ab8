"""What is uploaded: the model file, the local modules that it imports, and any data asked for.

Imports are read, not run. A module is local when it lies under the model file's root: the first
folder above it without ``__init__.py``, which is where Python would look first. As with
``python model.py`` a local module hides an installed one of the same name, but a folder without
``__init__.py`` does not. Names of the standard library are never local.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bsadvise.model.errors import SourceUnusable
from bsadvise.model.request import MAX_BUNDLE_BYTES
from bsadvise.model.units import format_bytes
from bsadvise.source.imports import find_local_modules
from bsadvise.v1 import source_service_pb2

_SKIPPED_FOLDERS = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Files ready for upload.

    Attributes:
        content: A serialized ``SourceBundle``.
        digest: Lower-case hex SHA-256 of ``content``.
        entry_path: Path of the model file inside, with forward slashes.
    """

    content: bytes
    digest: str
    entry_path: str


def collect(model_path: Path, include: Iterable[Path] = ()) -> Bundle:
    """Bundle a model file with what it needs.

    Args:
        model_path: The file that builds the task; like those of ``include`` it is normalised.
        include: Files, and folders whose files are all taken; under the model file's root.

    Raises:
        ModelFileError: The model file or a module that it imports is not Python.
        SourceUnusable: A file is absent, outside the root, or all are too large together.
    """
    entry = _existing_file(model_path)
    root = find_root(entry)
    modules = find_local_modules(entry, root)
    included = [file for path in include for file in _walk(path)]
    contents = {_relative(file, root): file.read_bytes() for file in {*modules, *included}}
    return pack(contents, entry.relative_to(root).as_posix())


def pack(contents: Mapping[str, bytes], entry_path: str) -> Bundle:
    """Serialize files by rising path, so that equal files always have an equal digest.

    Raises:
        SourceUnusable: They are too large together.
    """
    _check_size(contents)
    files = [
        source_service_pb2.SourceFile(path=path, content=contents[path])
        for path in sorted(contents)
    ]
    content = source_service_pb2.SourceBundle(files=files).SerializeToString(deterministic=True)
    digest = hashlib.sha256(content).hexdigest()
    return Bundle(content=content, digest=digest, entry_path=entry_path)


def find_root(entry: Path) -> Path:
    """Return the first folder above a file that is no package: where its imports begin."""
    return next(folder for folder in entry.parents if not (folder / "__init__.py").exists())


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise SourceUnusable(f"{path} is no file" if path.exists() else f"{path} does not exist")
    if path.suffix != ".py":
        raise SourceUnusable(f"{path} is no Python file; its name must end in .py")
    return path


def _walk(path: Path) -> list[Path]:
    if not path.exists():
        raise SourceUnusable(f"{path}, which was to be included, does not exist")
    if path.is_file():
        return [path]
    inside = [file for file in path.rglob("*") if file.is_file()]
    return [f for f in inside if _SKIPPED_FOLDERS.isdisjoint(f.relative_to(path).parts)]


def _relative(file: Path, root: Path) -> str:
    # Not resolved: a link to a data set is read through, and keeps its place in the tree.
    if not file.is_relative_to(root):
        raise SourceUnusable(
            f"{file} lies outside {root}; only what is beside or below the model file's root can "
            "be included, since it keeps its relative path on the other side"
        )
    return file.relative_to(root).as_posix()


def _check_size(contents: Mapping[str, bytes]) -> None:
    total_bytes = sum(len(content) for content in contents.values())
    if total_bytes <= MAX_BUNDLE_BYTES:
        return
    largest = sorted(contents, key=lambda path: len(contents[path]), reverse=True)[:3]
    named = ", ".join(f"{path} ({format_bytes(len(contents[path]))})" for path in largest)
    raise SourceUnusable(
        f"the model file and what goes with it are {format_bytes(total_bytes)}, more than "
        f"{format_bytes(MAX_BUNDLE_BYTES)}; the largest: {named}. Leave data out, and read it "
        "from a path that the daemon's machine can see"
    )
