"""Which files a script reads beside its modules, as far as they are named."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

_CONFIGURATION = frozenset({".json", ".yaml", ".yml", ".toml", ".ini", ".cfg"})
_MOST_BYTES = 1 << 20
_MOST_ENTRIES = 1_000
"""Of a file and of a folder: what is larger is data, which may be of the same formats."""


def find_named_files(
    trees: Iterable[ast.Module], arguments: Iterable[str], folders: Iterable[Path]
) -> set[Path]:
    """Return the files that a command line names, and the configuration that code names.

    Of folders that either names, the configuration files in them, unless it is too much to be
    configuration. Data is for ``--include``.

    Args:
        trees: The script and its modules.
        arguments: Its command line.
        folders: What relative paths may be relative to; nothing outside of these is found.
    """
    places = list(dict.fromkeys(folders))
    given = [part for argument in arguments for part in (argument, argument.rpartition("=")[2])]
    found = {path for path in _paths(given, places) if path.is_file()}
    for path in set(_paths([*given, *_texts(trees)], places)).difference(places):
        found.update(filter(_is_configuration, _at_or_below(path)))
    return found


def find_named_programs(trees: Iterable[ast.Module], folders: Iterable[Path]) -> set[Path]:
    """Return the files of Python that code names, which it may start; arguments as above."""
    places = list(dict.fromkeys(folders))
    return {path for path in _paths(_texts(trees), places) if path.suffix == ".py"}


def _at_or_below(path: Path) -> list[Path]:
    """Return a file, or what is in a folder; nothing of one that holds too much."""
    if not path.is_dir():
        return [path]
    entries = list(itertools.islice(path.rglob("*"), _MOST_ENTRIES + 1))
    return entries if len(entries) <= _MOST_ENTRIES else []


def _is_configuration(path: Path) -> bool:
    is_named_so = path.suffix in _CONFIGURATION and path.is_file()
    return is_named_so and path.stat().st_size <= _MOST_BYTES


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
