"""What is to be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bsadvise.model.request import EntryKind
from bsadvise.model.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The user's code, as it was sent.

    Attributes:
        entry_path: The entry file, in ``files``.
        entry_kind: What it is.
        files: Content by path, relative to ``root`` with forward slashes.
        arguments: Command line of a script.
    """

    entry_path: str
    entry_kind: EntryKind
    files: Mapping[str, bytes]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Bytes of a file to replace.

    Attributes:
        file: Its path.
        begin: Offset of the first of them.
        end: Offset behind the last.
        text: What takes their place.
    """

    file: str
    begin: int
    end: int
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Value):
    """One value to change.

    Attributes:
        what: Which field of ``Advice`` it is.
        where: The flag, or the name with file and line.
        before: What is there now.
        after: What is to be there.
        is_confirmed: Whether it is known that the training follows this place.
        edit: The change of a file; None where it is none, or cannot be made for sure.
    """

    what: str
    where: str
    before: str
    after: str
    is_confirmed: bool = True
    edit: Edit | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON and YAML have of it."""
        return {
            "what": self.what,
            "where": self.where,
            "from": self.before,
            "to": self.after,
            "is_confirmed": self.is_confirmed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All that is to be changed.

    Attributes:
        values: Value by value.
        command: The new command line of a script; empty where it stays as it is.
        notes: What is to be written by hand, in words.
    """

    values: tuple[Change, ...] = ()
    command: str = ""
    notes: tuple[str, ...] = ()

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The changes of files that are known to be right."""
        return tuple(one.edit for one in self.values if one.edit is not None and one.is_confirmed)
