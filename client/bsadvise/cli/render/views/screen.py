"""An answer on one screen: as much as there is room for, and where the rest is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

SCREEN_LINES = 40
_HEADING_LINES = 2
_LAST_LINES = 4
"""A blank one, two that say where the rest is, and the prompt."""


@dataclass(frozen=True, slots=True)
class Part:
    """A titled part of a screen.

    Attributes:
        title: Its title.
        rows: What it says, most important first.
        shape: Returns some of the rows as they are shown.
        noun: What several rows are.
        least_lines: What it has room for, whatever the other parts need.
    """

    title: str
    rows: Sequence[Any]
    shape: Callable[[Sequence[Any]], RenderableType]
    noun: str
    least_lines: int


class Screen:
    """A heading and parts, in ``SCREEN_LINES`` lines with the prompt that follows."""

    def __init__(
        self, heading: Text, parts: Sequence[Part], explained_by: str, elsewhere: Sequence[str]
    ) -> None:
        """Make a screen.

        Args:
            heading: Stands above.
            parts: From top to bottom; those without rows are left out.
            explained_by: The command that shows all there is.
            elsewhere: What it shows in addition, whatever there is room for here.
        """
        self._heading = heading
        self._parts = [part for part in parts if part.rows]
        self._explained_by = explained_by
        self._elsewhere = elsewhere

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines; what there is no room for is left out, row by row."""

        def lines_of(what: RenderableType) -> list[list[Segment]]:
            return console.render_lines(what, options, pad=False)

        lines = lines_of(self._heading)[:_HEADING_LINES]
        # Of each part a blank line and its title.
        room = SCREEN_LINES - len(lines) - 2 * len(self._parts) - _LAST_LINES
        needs = [len(lines_of(part.shape(part.rows))) for part in self._parts]
        left_out: list[str] = []
        for part, limit in zip(self._parts, self._limits(needs, room), strict=True):
            shown, count = _fitting(part, limit, lines_of)
            lines += [[], *lines_of(Text(part.title, "bold")), *shown]
            if count < len(part.rows):
                left_out.append(f"{len(part.rows) - count} more {part.noun}")
        rest = ", ".join([*reversed(left_out), *self._elsewhere])
        lines += [[], *lines_of(Text(f"The rest: {self._explained_by}"))]
        lines += lines_of(Text(f"  {rest}", "dim", no_wrap=True, overflow="ellipsis"))
        for line in lines:
            yield from line
            yield Segment.line()

    def _limits(self, needs: Sequence[int], room: int) -> list[int]:
        """Return how many lines each part may take: its least, then from the last to the first."""
        limits = [
            min(need, part.least_lines) for need, part in zip(needs, self._parts, strict=True)
        ]
        for index in reversed(range(len(needs))):
            limits[index] += max(0, min(needs[index] - limits[index], room - sum(limits)))
        return limits


def _fitting(
    part: Part, limit: int, lines_of: Callable[[RenderableType], list[list[Segment]]]
) -> tuple[list[list[Segment]], int]:
    """Return the lines of the first rows that fit, and how many rows; the first may be cut."""
    for count in range(len(part.rows), 0, -1):
        lines = lines_of(part.shape(part.rows[:count]))
        if len(lines) <= limit:
            return lines, count
    return [*lines_of(part.shape(part.rows[:1]))[: limit - 1], [Segment("    …")]], 0
