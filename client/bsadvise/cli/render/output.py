"""The edge of printing: the answer on stdout and in a file, words on stderr.

All that the command line prints passes ``printable`` here. Text for people is escaped; in JSON and
YAML the escapes of these forms stand for the same characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import IO, Any

import click
import yaml
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bsadvise.exports.formats.registry import EXPORTS, Export
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.errors import BsadviseError
from bsadvise.printable import printable

WIDTH = 80
"""Columns of what nobody watches, as of a usual terminal."""


class PrintableConsole(Console):
    """A console on which text obeys nobody; rich's own control sequences are no text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of what is shown, their text as a terminal may show it."""
        # What is written out takes more columns: before lines are broken, not after.
        if isinstance(renderable, Text) and printable(renderable.plain) != renderable.plain:
            renderable = Text(
                printable(renderable.plain),
                renderable.style,
                no_wrap=renderable.no_wrap,
                overflow=renderable.overflow,
            )
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


def make_console(file: IO[str]) -> Console:
    """Return a console; where nobody watches it has a fixed width and no colours."""
    is_watched = file.isatty()
    ctx = click.get_current_context(silent=True)
    return PrintableConsole(
        file=file,
        width=None if is_watched else WIDTH,
        no_color=True if ctx is not None and ctx.color is False else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def say(text: str) -> None:
    """Print a line on stdout."""
    click.echo(printable(text))


def say_aside(text: str) -> None:
    """Print a line on stderr; above the panel while one is drawn."""
    # Not by click, which writes past what the panel has put in the place of stderr.
    if sys.stderr is not None:  # None where it was closed.
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()


def print_answer(
    document: Mapping[str, Any],
    view: RenderableType,
    output: str,
    save: Path | None = None,
    *,
    advice: Advice | None = None,
    once_more: str = "ask again",
) -> None:
    """Print an answer, then write it to a file if asked: what cannot be written was yet shown.

    Args:
        document: Every field, for programs.
        view: The same for people; a text is printed as it is.
        output: "text", "json", "yaml", or one of ``EXPORTS``.
        save: Where to write the document too; the suffix says in which form.
        advice: The setting in the answer, for ``EXPORTS``; None where there is none.
        once_more: How the document is had again if it cannot be written.

    Raises:
        BsadviseError: It is printed, and could not be written; or it has no setting to print.
    """
    try:
        if output == "text" and isinstance(view, str):
            click.echo(view, nl=False)
        elif output == "text":
            print_view(view)
        elif output in EXPORTS:
            _print_export(EXPORTS[output], advice)
        else:
            click.echo(_encode(document, output), nl=False)
    finally:  # A stdout that is full or closed is no reason not to keep it either.
        if save is not None:
            _save(document, save, once_more)


def _print_export(export: Export, advice: Advice | None) -> None:
    if advice is None or any(one.code == CaveatCode.OBSERVED_ONLY for one in advice.caveats):
        raise BsadviseError(
            f"no setting is advised that could be printed as {export.name}; --output text says "
            "what there is"
        )
    click.echo(export.render(advice), nl=False)
    if not export.has_comments:
        for remark in export.remarks(advice):
            say_aside(remark)


def print_view(view: RenderableType) -> None:
    """Print a view on stdout; for a file or a pipe without the blanks that pad its columns."""
    console = make_console(sys.stdout)
    if console.is_terminal:
        console.print(view)
    else:
        click.echo(_captured(view, console))


def view_text(view: RenderableType) -> str:
    """Return a view as nobody's terminal shows it: of a fixed width, without colours."""
    return _captured(view, make_console(StringIO()))


def _captured(view: RenderableType, console: Console) -> str:
    with console.capture() as capture:
        console.print(view)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _save(document: Mapping[str, Any], path: Path, once_more: str) -> None:
    text = _encode(document, "json" if path.suffix == ".json" else "yaml")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BsadviseError(
            f"the answer is found, and {path} cannot be written: {error.strerror}; to save every "
            f"field of it elsewhere: {once_more}"
        ) from error


def _encode(document: Mapping[str, Any], form: str) -> str:
    if form == "json":
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        if printable(text) != text:
            text = json.dumps(document, indent=2, allow_nan=False)
        return text + "\n"
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    if printable(text) != text:
        text = yaml.safe_dump(dict(document), sort_keys=False)
    return text
