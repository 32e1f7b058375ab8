"""JSON Lines files of results, to which processes can append concurrently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the values in a file, oldest first; none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Append a value in one write, so that two processes may append at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def keep_lines(path: Path, is_kept: Callable[[dict[str, Any]], bool]) -> None:
    """Remove the lines that are not to be kept."""
    lines = [json.dumps(value) + "\n" for value in read_lines(path) if is_kept(value)]
    if path.exists():
        path.write_text("".join(lines), encoding="utf-8")
