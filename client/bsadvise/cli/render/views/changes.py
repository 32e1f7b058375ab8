"""What to change in one's own lines to train with the answer."""

from __future__ import annotations

from bsadvise.exports.changes.values import Changes


def change_rows(changes: Changes) -> list[tuple[str, str]]:
    """Return each change with the name of what it is of."""
    rows = [(one.what, f"{one.where}: {one.before} -> {one.after}") for one in changes.values]
    if changes.command:
        rows.append(("command", changes.command))
    return [*rows, *(("by hand", note) for note in changes.notes)]
