"""The answer on stdout, and in a file: as text for people, as JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import click
import yaml
from rich.console import Console, RenderableType

WIDTH = 100


def make_console(file: IO[str]) -> Console:
    """Return a console; where nobody watches it has a fixed width and no colours."""
    is_watched = file.isatty()
    return Console(
        file=file,
        width=None if is_watched else WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def print_answer(
    document: Mapping[str, Any], view: RenderableType, output: str, save: Path | None = None
) -> None:
    """Print an answer, and write it to a file if asked.

    Args:
        document: Every field, for programs.
        view: The same for people.
        output: "text", "json" or "yaml".
        save: Where to write the document too; the suffix says in which form.
    """
    if save is not None:
        save.write_text(_encode(document, "json" if save.suffix == ".json" else "yaml"))
    if output == "text":
        print_view(view)
    else:
        click.echo(_encode(document, output), nl=False)


def print_view(view: RenderableType) -> None:
    """Print a view on stdout; for a file or a pipe without the blanks that pad its columns."""
    console = make_console(sys.stdout)
    if console.is_terminal:
        console.print(view)
        return
    with console.capture() as capture:
        console.print(view)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _encode(document: Mapping[str, Any], form: str) -> str:
    if form == "json":
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
