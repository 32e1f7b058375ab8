"""Recorded searches: a file each, written and read here and nowhere else.

A file holds what a planner was given and what it answered. Every value is read as a row of the
database is, whichever release wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Measurement
from bsadvise.model.request import AdviceRequest
from bsadvise.wire.plain import to_plain, union_to_plain

from advisor.serialization import from_row
from advisor.store.upcasts import WRITER_VERSION, upcast

LOGS = Path(__file__).parent / "logs"

FORMAT = 1
"""Version of the layout of a file; the values in it have versions of their own."""

Answer = Advice | Refusal | None
"""None stands for a search that was stopped before it could give any advice."""

_ANSWERS: Mapping[str, type[Advice | Refusal]] = {"advice": Advice, "refusal": Refusal}


class AnsweredBy(StrEnum):
    """Which of the planner's functions gave the answer."""

    PLAN = "plan"
    """The plan was carried out to its end."""
    BEST_SO_FAR = "best_so_far"
    """The runner ended the search: it was cancelled, or far over its budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One search and what the planner said of it.

    Attributes:
        description: What was searched for, and what carried the commands out.
        package_version: The version of bsadvise that measured.
        request: What was asked.
        device: The device as the planner was told of it.
        log: What was measured, oldest first.
        answered_by: Which function gave ``answer`` for the whole log.
        answer: The answer, without what the runner adds to it (fingerprint and sandbox).
        best_so_far: By the number of measurements, the advice that the log would then give; None
            where it would give none.
    """

    description: str
    package_version: str
    request: AdviceRequest
    device: Device
    log: Log
    answered_by: AnsweredBy = AnsweredBy.PLAN
    answer: Answer = None
    best_so_far: Mapping[int, Advice | None] = field(default_factory=dict)


def path_of(name: str) -> Path:
    """Return where a recording lies."""
    return LOGS / f"{name}.json"


def recorded_names() -> list[str]:
    """Return the names of all recordings."""
    return sorted(path.stem for path in LOGS.glob("*.json"))


def read_recording(path: Path) -> Recording:
    """Return the recording at ``path``. Raises ValueError where it is none of ours."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["format"] != FORMAT:
        raise ValueError(f"{path}: format {document['format']} is not {FORMAT}")
    document = upcast({**document, WRITER_VERSION: document["package_version"]})
    return Recording(
        description=document["description"],
        package_version=document["package_version"],
        request=from_row(document["request"], AdviceRequest),
        device=from_row(document["device"], Device),
        log=tuple(from_row(entry, Measurement) for entry in document["log"]),
        answered_by=AnsweredBy(document["answered_by"]),
        answer=_answer(document["answer"]),
        best_so_far={
            one["measurement_count"]: from_row(one["advice"], Advice) if one["advice"] else None
            for one in document["best_so_far"]
        },
    )


def write_recording(recording: Recording, path: Path) -> None:
    """Write ``recording`` to ``path``: one line for each measurement, one for each field else."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "description": recording.description,
        "package_version": recording.package_version,
        "request": to_plain(recording.request),
        "device": to_plain(recording.device),
        "answered_by": recording.answered_by.value,
        "answer": answer_to_dict(recording.answer),
        "best_so_far": [
            {"measurement_count": count, "advice": None if best is None else to_plain(best)}
            for count, best in recording.best_so_far.items()
        ],
        "log": [],
    }
    head = json.dumps(document, indent=1, ensure_ascii=False).removesuffix("[]\n}")
    entries = ",\n  ".join(json.dumps(to_plain(one), ensure_ascii=False) for one in recording.log)
    partial = path.with_suffix(".partial")
    partial.write_text(f"{head}[\n  {entries}\n ]\n}}\n", encoding="utf-8")
    partial.replace(path)


def answer_to_dict(answer: Answer) -> dict[str, Any] | None:
    """Return an answer as it stands in a file."""
    return None if answer is None else union_to_plain(answer)


def _answer(data: Mapping[str, Any] | None) -> Answer:
    if data is None:
        return None
    ((key, value),) = data.items()
    return from_row(value, _ANSWERS[key])
