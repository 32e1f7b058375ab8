"""A step's figures, kept in a file as they come: what ends the step does not end them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Report:
    """Takes the figures of one step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._figures: dict[str, Any] = {}

    def note(self, name: str, figures: object) -> None:
        """Keep figures under a name, those of before beside it.

        Args:
            name: The name.
            figures: What JSON can hold.
        """
        self._figures[name] = figures
        write_json(self._path, self._figures)
        print(f"{name}: {json.dumps(figures)}", flush=True)


def write_json(path: Path, document: object) -> None:
    """Write a file at once, so that whoever reads it finds all of it or what was there before."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return what a file holds; nothing where there is none, or it is no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
