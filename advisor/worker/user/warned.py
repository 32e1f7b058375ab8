"""The warnings that the user's code causes, so that they are passed on and not swallowed."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO
from warnings import catch_warnings

from bsadvise.model.caveats import Caveat, CaveatCode

_MOST_WARNINGS = 5
_MOST_CHARACTERS = 400

_NUMBER = re.compile(r"\d+")

_OF_NO_USE = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Python shows these to developers alone."""

_REENTRANT = "None of the inputs have requires_grad=True"
_REENTRANT_FIX = " Write `checkpoint(function, x, use_reentrant=False)`."


class UserWarnings:
    """What was warned of while user code ran: each once, whatever numbers it names."""

    def __init__(self, source_dir: Path) -> None:
        self._source_dir = source_dir
        self._told: dict[str, tuple[str, str]] = {}

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note warnings; they are printed too, as they would be."""
        show = warnings.showwarning

        def note(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            place = self._place()
            if place is not None and not issubclass(category, _OF_NO_USE):
                text = f"{category.__name__}: {' '.join(str(message).split())}"
                # Batches of several sizes are tried, and each may name its own.
                self._told.setdefault(_NUMBER.sub("#", text), (text, place))
            show(message, category, filename, lineno, file, line)

        with catch_warnings():
            warnings.showwarning = note
            yield

    def caveats(self) -> list[Caveat]:
        """Return a caveat for each of the first, and one that counts the others."""
        found = [
            Caveat(code=CaveatCode.USER_WARNING, text=f"{place}: {_shortened(text)}")
            for text, place in list(self._told.values())[:_MOST_WARNINGS]
        ]
        others = len(self._told) - len(found)
        if others > 0:
            text = f"The model file causes {others} more warnings."
            found.append(Caveat(code=CaveatCode.USER_WARNING, text=text))
        return found

    def _place(self) -> str | None:
        """Return the user's line that is being run; None where it is a line of ours."""
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - as `warnings` itself finds the line
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(self._source_dir) and "site-packages" not in path.parts:
                return f"{path.relative_to(self._source_dir).as_posix()}:{frame.f_lineno}"
            if frame.f_globals.get("__name__", "").startswith("advisor.worker.loop"):
                return None
            frame = frame.f_back
        return None


def _shortened(text: str) -> str:
    fix = _REENTRANT_FIX if _REENTRANT in text else ""
    return (text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…") + fix
