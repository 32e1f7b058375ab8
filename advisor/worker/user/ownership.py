"""Whose an exception is, the user's or ours, by the frames that it came through.

The innermost frame that tells decides. What only calls the user's objects tells nothing, such as
the default loss, which calls the model, and the loaders. Neither does PyTorch, which calls both: a
custom backward pass, and our hooks on gradients. `__torch_dispatch__` of ours runs the user's
operations; only what it does beside them is ours.
"""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from types import TracebackType

_OURS = "advisor."
_FOR_THE_USER = (
    "advisor.worker.user.",
    "advisor.worker.data.",
    "advisor.worker.entries.",
    "advisor.worker.loop.step",
)
_DISPATCH = "__torch_dispatch__"


class Owner(Enum):
    """Whose an exception is."""

    USER = auto()
    OURS = auto()
    UNKNOWN = auto()
    """No frame tells: what was called is written in C, or is a library's."""


def owner_of(error: BaseException, source_dir: Path) -> Owner:
    """Return whose an exception is.

    Args:
        error: The exception, with its traceback.
        source_dir: The user's bundle, with links resolved.
    """
    owners = [_owner_of_frame(entry, source_dir) for entry in _entries(error.__traceback__)]
    telling = [owner for owner in owners if owner is not Owner.UNKNOWN]
    if isinstance(error, RecursionError) and Owner.USER in telling:
        return Owner.USER  # Whoever calls at the last level, it is the user's code that recurses.
    return telling[-1] if telling else Owner.UNKNOWN


def path_in_bundle(filename: str, source_dir: Path) -> Path | None:
    """Return the path of a frame's file inside the user's bundle; None where it is elsewhere.

    Args:
        filename: As the frame names it.
        source_dir: The bundle, with links resolved.
    """
    path = (source_dir / filename).resolve()
    is_users = path.is_relative_to(source_dir) and "site-packages" not in path.parts
    return path.relative_to(source_dir) if is_users and path.is_file() else None


def _entries(traceback: TracebackType | None) -> list[TracebackType]:
    entries = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    return entries


def _owner_of_frame(entry: TracebackType, source_dir: Path) -> Owner:
    frame = entry.tb_frame
    module = str(frame.f_globals.get("__name__", ""))
    if module.startswith(_OURS):
        acts_for_user = module.startswith(_FOR_THE_USER) or frame.f_code.co_name == _DISPATCH
        return Owner.UNKNOWN if acts_for_user else Owner.OURS
    is_users = path_in_bundle(frame.f_code.co_filename, source_dir) is not None
    return Owner.USER if is_users else Owner.UNKNOWN
