"""Where a worker's user code was, from the stacks that ``faulthandler`` has written.

User code may write to the file what it likes: nothing in it is taken for more than a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

_FRAME = re.compile(r'^  File "(?P<file>[^"\n]{1,500})", line (?P<line>\d{1,7}) in (?P<name>.*)$')
_THREAD = re.compile(r"^(Current thread|Thread) 0x|^Stack \(most recent call first\)")
_LOADER = "torch/utils/data/dataloader.py"
_MOST_FRAMES = 20
_MOST_NAME_CHARACTERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the user's code was.

    Attributes:
        file: Path inside the bundle.
        line: Line in it, from 1.
        traceback: The user's frames, outermost first.
        waits_for_loader: Whether it waited for a data loader's processes.
    """

    file: str
    line: int
    traceback: str
    waits_for_loader: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    file: str
    line: int
    name: str


def place_in(text: str, source_dir: Path) -> Place | None:
    """Return where the user's code was in one process; None where no frame is the user's.

    Args:
        text: Stacks of its threads, as ``faulthandler`` writes them: the main thread's last, and
            of each the most recent call first.
        source_dir: The bundle.
    """
    for stack in reversed(_stacks(text)):
        frames = list(_user_frames(stack, source_dir))
        if frames:
            inner = stack[: stack.index(frames[0])]
            return Place(
                file=_relative(frames[0], source_dir),
                line=frames[0].line,
                traceback="".join(
                    f'  File "{_relative(frame, source_dir)}", line {frame.line}, in {frame.name}\n'
                    for frame in reversed(frames[:_MOST_FRAMES])
                ),
                waits_for_loader=any(frame.file.endswith(_LOADER) for frame in inner),
            )
    return None


def _stacks(text: str) -> list[list[_Frame]]:
    stacks: list[list[_Frame]] = []
    for line in text.splitlines():
        if _THREAD.match(line):
            stacks.append([])
        elif stacks and (match := _FRAME.match(line)):
            name = match["name"][:_MOST_NAME_CHARACTERS]
            stacks[-1].append(_Frame(file=match["file"], line=int(match["line"]), name=name))
    return stacks


def _user_frames(stack: list[_Frame], source_dir: Path) -> Iterator[_Frame]:
    for frame in stack:
        path = PurePath(frame.file)
        is_users = path.is_relative_to(source_dir) and "site-packages" not in path.parts
        if is_users and ".." not in path.parts and frame.line > 0:
            yield frame


def _relative(frame: _Frame, source_dir: Path) -> str:
    return PurePath(frame.file).relative_to(source_dir).as_posix()
