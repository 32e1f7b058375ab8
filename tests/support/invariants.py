"""What must be true of a daemon's state directory once everything has ended.

Nothing lost: every recommendation has an unbroken log that ends with its final state. Nothing
twice: no command was measured again. No lease leaked, no file without an owner.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from sqlalchemy import Connection, RowMapping, create_engine, text

from advisor.store.upcasts import WRITER_VERSION

_FINAL = {"STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"}


def find_violations(state_dir: Path, database: str | None = None) -> list[str]:
    """Return what is wrong, in words; nothing may run there any more.

    Args:
        state_dir: Of the daemons.
        database: URL of their database; None for the file in the state directory.
    """
    engine = create_engine(database or f"sqlite:///{state_dir / 'bsadvise.db'}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM recommendations")).mappings().all()
        violations = [
            f"{row['recommendation_id']}: {violation}"
            for row in rows
            for violation in [*_in_row(row), *_in_log(_happenings(connection, row))]
        ]
        if database is None and connection.scalar(text("PRAGMA integrity_check")) != "ok":
            violations.append("the database is damaged")
    engine.dispose()
    return violations + _stray_files(state_dir)


def _happenings(connection: Connection, row: RowMapping) -> list[tuple[int, str, object]]:
    """Return each event's sequence number, kind and content."""
    query = text(
        "SELECT sequence, body FROM events WHERE recommendation_id = :id ORDER BY sequence"
    )
    happenings = []
    for sequence, body in connection.execute(query, {"id": row["recommendation_id"]}):
        happening = json.loads(body)
        assert happening.pop(WRITER_VERSION)
        ((kind, content),) = happening.items()
        happenings.append((sequence, kind, content))
    return happenings


def _in_row(row: RowMapping) -> list[str]:
    violations = []
    if row["state"] not in {"succeeded", "failed", "cancelled"}:
        violations.append(f"is still {row['state']}")
    if row["lease_owner"] is not None or row["lease_expires_at_s"] is not None:
        violations.append("its lease leaked")
    return violations


def _in_log(happenings: list[tuple[int, str, object]]) -> list[str]:
    violations = []
    if [sequence for sequence, _, _ in happenings] != list(range(1, len(happenings) + 1)):
        violations.append("a sequence number is missing or double")
    states = [
        content["state"]
        for _, kind, content in happenings
        if kind == "state_changed" and isinstance(content, dict)
    ]
    if sum(state in _FINAL for state in states) != 1 or states[-1] not in _FINAL:
        violations.append(f"it went through {states}")
    measured: Counter[str] = Counter()
    started: set[str] = set()
    for _, kind, content in happenings:
        assert isinstance(content, dict)
        if kind == "command_started":
            started.add(json.dumps(content["command"], sort_keys=True))
        if kind == "measured":
            command = json.dumps(content["measurement"]["command"], sort_keys=True)
            measured[command] += 1
            if command not in started:
                violations.append(f"measured without being started: {command}")
    violations += [f"measured twice: {command}" for command, n in measured.items() if n > 1]
    return violations


def _stray_files(state_dir: Path) -> list[str]:
    left = [*(state_dir / "checkpoints").glob("*"), *(state_dir / "scratch").glob("*")]
    left += [path for path in (state_dir / "sources").glob("*") if path.name.startswith(".")]
    return [f"left behind: {path.relative_to(state_dir)}" for path in left]
