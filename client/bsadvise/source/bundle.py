"""What is uploaded: the entry file, the local modules that it imports, and any data asked for.

With a script go the files that its command line names, and the configuration files that it names.

Imports are read, not run. A module is local when it lies under the model file's root: the first
folder above it without ``__init__.py``, which is where Python would look first. As with
``python model.py`` a local module hides an installed one of the same name, but a folder without
``__init__.py`` does not. Names of the standard library are never local.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bsadvise.model.errors import SourceUnusable
from bsadvise.model.placeholders import placeholders
from bsadvise.model.request import EntryKind
from bsadvise.source.entry_kind import entry_kind_of
from bsadvise.source.files import check_link, check_sizes, included_files, read_files
from bsadvise.source.imports import find_local_modules, parse
from bsadvise.source.named_files import find_named_files, find_named_programs
from bsadvise.v1 import source_service_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Files ready for upload.

    Attributes:
        content: A serialized ``SourceBundle``.
        digest: Lower-case hex SHA-256 of ``content``.
        entry_path: Path of the entry file inside, with forward slashes.
        entry_kind: What the entry file is.
    """

    content: bytes
    digest: str
    entry_path: str
    entry_kind: EntryKind = EntryKind.MODEL_FILE


def collect(
    model_path: Path, include: Iterable[Path] = (), arguments: Iterable[str] = ()
) -> Bundle:
    """Bundle a model file or a script with what it needs.

    Args:
        model_path: The file that builds the task; like those of ``include`` it is normalised.
        include: Files, and folders whose files are all taken; under the model file's root.
        arguments: The command line of a script. With placeholders in it, the script is run as a
            command, and programs that it names go with it.

    Raises:
        ModelFileError: The model file or a module that it imports is not Python.
        SourceUnusable: A file is absent, cannot be read, lies outside the root or is a link to
            what does, or all are too many or too large together.
    """
    try:
        entry = _existing_file(model_path)
        root, named, words = find_root(entry), list(include), list(arguments)
        found = find_local_modules(entry, root)
        entry_kind = _kind_of(entry, words)
        if entry_kind is EntryKind.COMMAND:
            programs = find_named_programs(map(parse, found), (root, entry.parent))
            found = found.union(*(find_local_modules(program, root) for program in programs))
        if entry_kind is not EntryKind.MODEL_FILE:
            found |= find_named_files(map(parse, found), words, (root, entry.parent))
        for file in found:
            check_link(file, (root, entry, *named))
        files = {_relative(file, root): file for file in found | included_files(named)}
        return pack(read_files(files), _relative(entry, root), entry_kind)
    except OSError as error:
        place = model_path if error.filename is None else os.fsdecode(error.filename)
        raise SourceUnusable(f"{place} cannot be read: {error.strerror or error}") from error


def _kind_of(entry: Path, arguments: list[str]) -> EntryKind:
    try:
        has_placeholders = bool(placeholders(arguments))
    except ValueError as error:
        raise SourceUnusable(str(error)) from error
    return EntryKind.COMMAND if has_placeholders else entry_kind_of(parse(entry))


def pack(
    contents: Mapping[str, bytes],
    entry_path: str,
    entry_kind: EntryKind = EntryKind.MODEL_FILE,
) -> Bundle:
    """Serialize files by rising path, so that equal files always have an equal digest.

    Raises:
        SourceUnusable: They are too large together.
    """
    check_sizes({path: len(content) for path, content in contents.items()})
    files = [
        source_service_pb2.SourceFile(path=path, content=contents[path])
        for path in sorted(contents)
    ]
    content = source_service_pb2.SourceBundle(files=files).SerializeToString(deterministic=True)
    digest = hashlib.sha256(content).hexdigest()
    return Bundle(content=content, digest=digest, entry_path=entry_path, entry_kind=entry_kind)


def find_root(entry: Path) -> Path:
    """Return the first folder above a file that is no package: where its imports begin."""
    return next(folder for folder in entry.parents if not (folder / "__init__.py").exists())


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise SourceUnusable(f"{path} is no file" if path.exists() else f"{path} does not exist")
    if path.suffix != ".py":
        raise SourceUnusable(f"{path} is no Python file; its name must end in .py")
    return path


def _relative(file: Path, root: Path) -> str:
    # Not resolved: a link to a data set is read through, and keeps its place in the tree.
    if not file.is_relative_to(root):
        raise SourceUnusable(
            f"{file} lies outside {root}; only what is beside or below the model file's root can "
            "be included, since it keeps its relative path on the other side"
        )
    path = file.relative_to(root).as_posix()
    if not path.isprintable():
        raise SourceUnusable(
            f"{file} cannot be sent: its name is not UTF-8, or has characters that cannot be "
            "printed; rename it"
        )
    return path
