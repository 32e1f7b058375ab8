"""Which files a script reads beside its modules, as far as they are named."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

_CONFIGURATION = frozenset({".json", ".yaml", ".yml", ".toml", ".ini", ".cfg"})


def find_named_files(
    trees: Iterable[ast.Module], arguments: Iterable[str], folders: Iterable[Path]
) -> set[Path]:
    """Return the files that a command line names, and the configuration that code names.

    Of folders that either names, the configuration files in them. Data is for ``--include``.

    Args:
        trees: The script and its modules.
        arguments: Its command line.
        folders: What relative paths may be relative to; nothing outside of these is found.
    """
    places = list(dict.fromkeys(folders))
    given = [part for argument in arguments for part in (argument, argument.rpartition("=")[2])]
    found = {path for path in _paths(given, places) if path.is_file()}
    for path in _paths([*given, *_texts(trees)], places):
        inside = path.rglob("*") if path.is_dir() and path not in places else [path]
        found.update(f for f in inside if f.suffix in _CONFIGURATION and f.is_file())
    return found


def _paths(names: Iterable[str], folders: list[Path]) -> Iterator[Path]:
    for name in names:
        for folder in folders:
            path = Path(folder, name)
            # Names may be anything that code says: no path, or one that nobody may look at.
            try:
                if ".." not in path.parts and path.is_relative_to(folder) and path.exists():
                    yield path
            except (OSError, ValueError):
                continue


def _texts(trees: Iterable[ast.Module]) -> Iterator[str]:
    for tree in trees:
        for node in ast.walk(tree):
            match node:
                case ast.Constant(value=str(text)) if text and "\n" not in text:
                    yield text
