"""Files of results, one a line: what is there is there, whoever adds to it next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return what a file holds, oldest first; nothing where there is none."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Add to a file in one write, so that two processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def keep_lines(path: Path, is_kept: Callable[[dict[str, Any]], bool]) -> None:
    """Forget the lines of a file that are not to be kept."""
    lines = [json.dumps(value) + "\n" for value in read_lines(path) if is_kept(value)]
    if path.exists():
        path.write_text("".join(lines), encoding="utf-8")
