"""Which local modules a Python file imports, found by reading alone."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from bsadvise.model.errors import ModelFileError
from bsadvise.source.files import check_sizes

_SHOWN_CHARS = 100
"""Of a line that is no Python, in the message that says so."""


def find_local_modules(entry: Path, root: Path) -> set[Path]:
    """Return a file, the modules under a root that it imports, and the packages around them.

    Args:
        entry: The file to begin with.
        root: Folder from which absolute imports are looked up.

    Raises:
        ModelFileError: One of the files is not Python.
    """
    resolver = _Resolver(entry, root)
    found = {entry, *resolver.packages_around(entry)}
    waiting = list(found)
    while waiting:
        file = waiting.pop()
        for name in _imported_names(file, root):
            new = resolver.files_of(name) - found
            found |= new
            waiting += new
    return found


class _Resolver:
    """Turns dotted names into files under a root."""

    def __init__(self, entry: Path, root: Path) -> None:
        self._root = root
        self._own_name = entry.relative_to(root).parts[0].removesuffix(".py")
        self._root_is_installed = root in _installed_folders()

    def files_of(self, name: str) -> set[Path]:
        """Return the module's file and the ``__init__.py`` of each package on the way to it."""
        parts = name.split(".")
        if not self._may_be_local(parts[0]):
            return set()
        files = set()
        for depth in range(1, len(parts) + 1):
            path = self._root.joinpath(*parts[:depth])
            candidates = (path / "__init__.py", path.with_name(path.name + ".py"))
            file = next((c for c in candidates if c.is_file()), None)
            if file is not None:
                files.add(file)
            elif not path.is_dir():
                break  # a name inside the module before it
        return files

    def packages_around(self, file: Path) -> set[Path]:
        """Return the ``__init__.py`` of each package that a file lies in."""
        folders = [f for f in file.parents if f != self._root and f.is_relative_to(self._root)]
        return {init for f in folders if (init := f / "__init__.py").is_file()}

    def _may_be_local(self, top_name: str) -> bool:
        if top_name in sys.stdlib_module_names or top_name == "__future__":
            return False
        if self._root_is_installed:
            return top_name == self._own_name
        path = self._root / top_name
        if (path / "__init__.py").is_file() or path.with_name(f"{top_name}.py").is_file():
            return True
        return path.is_dir() and not _is_installed(top_name)


def _imported_names(file: Path, root: Path) -> Iterator[str]:
    package = file.parent.relative_to(root).parts
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= len(package):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            if base:
                yield base
            # What is imported may be a module of the package, not a name in it.
            yield from (".".join(filter(None, (base, a.name))) for a in node.names)


def parse(file: Path) -> ast.Module:
    """Return the syntax tree of a file. Raises ModelFileError where it is no Python."""
    check_sizes({str(file): file.stat().st_size})  # before all of it is in memory
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as error:
        text = (error.text or "").strip()[:_SHOWN_CHARS]
        raise ModelFileError(
            f"{file}:{error.lineno}: {error.msg}" + (f": {text}" if text else "")
        ) from error
    except (RecursionError, MemoryError) as error:
        raise ModelFileError(f"{file}: it is nested too deeply to be read") from error
    except ValueError as error:
        raise ModelFileError(f"{file}: {error}") from error  # null bytes, before Python 3.12


def _installed_folders() -> set[Path]:
    return {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}


def _is_installed(top_name: str) -> bool:
    spec = PathFinder.find_spec(top_name, [str(folder) for folder in _installed_folders()])
    return spec is not None and spec.origin is not None
