"""An answer with what to change in the user's files, which are changed when that is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bsadvise.cli.commands.report import Reporting
from bsadvise.cli.render.output import print_answer, say_aside
from bsadvise.cli.render.views import advice_view, change_rows
from bsadvise.exports.changes.diff import edited, unified_diff
from bsadvise.exports.changes.finding import find_changes
from bsadvise.exports.changes.values import Sources
from bsadvise.exports.changes.writing import write_files
from bsadvise.model.advice import Advice
from bsadvise.model.errors import BsadviseError, SourceUnusable
from bsadvise.model.recommendation import Recommendation
from bsadvise.model.request import Source
from bsadvise.source.bundle import collect, find_root
from bsadvise.v1.source_service_pb2 import SourceBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was asked of an answer to a file.

    Attributes:
        model: The entry file.
        include: What was sent with it.
        output: How to print the answer.
        save: Where to keep it too.
        diff: Whether to print what to change in the files, in place of the answer.
        write: Whether to change them.
        once_more: How the answer is had again if it cannot be written.
        explained_by: The command that prints all of it; None to print all of it now.
        reporting: What writes the report of it, if one is wanted.
    """

    model: Path
    include: tuple[Path, ...]
    output: str
    save: Path | None
    diff: bool
    write: bool
    once_more: str
    explained_by: str | None
    reporting: Reporting


def print_with_changes(advice: Advice, recommendation: Recommendation, asked: Applied) -> None:
    """Print an answer with what to change for it, or that alone, and change it if asked.

    Raises:
        BsadviseError: It cannot be printed, or saved; or what is to be changed cannot be.
    """
    source, unread = recommendation.request.source, None
    files: dict[str, bytes] = {}
    try:
        files = read_sent(asked.model, asked.include, source)
    except BsadviseError as error:
        unread = error  # The answer does not depend on it.
    sources = Sources(
        entry_path=source.entry_path,
        entry_kind=source.entry_kind,
        files=files,
        arguments=source.arguments,
    )
    changes = find_changes(advice, sources)
    changed = edited(files, changes.edits)
    difference = unified_diff(files, changed)
    view = advice_view(advice, asked.model.name, changes, explained_by=asked.explained_by)
    print_answer(
        {**advice.to_dict(), "apply": [one.to_dict() for one in changes.values]},
        difference if asked.diff else view,
        asked.output,
        asked.save,
        advice=advice,
        once_more=asked.once_more,
    )
    asked.reporting.write(changes if unread is None else None)
    if unread is not None and (asked.diff or asked.write):
        raise unread
    if unread is not None:
        say_aside(str(unread))
    if asked.diff:
        for name, words in change_rows(changes):
            say_aside(f"{name}: {words}")
    if asked.write:
        say_aside(difference.rstrip("\n") or "nothing in the files is to be changed")
        write_files(find_root(asked.model), files, changed)
        for file in changed:
            say_aside(f"{file} is written")


def read_sent(model: Path, include: Iterable[Path], source: Source) -> dict[str, bytes]:
    """Return the files that a recommendation is for, by their paths in what was sent.

    Raises:
        BsadviseError: They cannot be read, or are not as they were sent.
    """
    bundle = collect(model, include, source.arguments)
    if bundle.digest != source.digest:
        raise SourceUnusable(
            f"{model.name}, or a file that goes with it, has changed since it was sent: what to "
            "change in it cannot be said; ask again"
        )
    return {one.path: one.content for one in SourceBundle.FromString(bundle.content).files}
