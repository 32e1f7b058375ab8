"""Documents and code use the terms of docs/glossary.md, and none of the words below in their place.

Words are found in prose and inside identifiers: ``ArrivalTimes`` and ``arrival_times`` contain
*arrival*. Only words without a common technical meaning are listed, so that the test needs few
exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]

_CHECKED = (
    "advisor",
    "client/bsadvise",
    "benchmarks",
    "docs",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
)
_SUFFIXES = {".py", ".md"}
_GENERATED = ("client/bsadvise/v1", "advisor/pipe/v1")

_TERMS = {
    "accountant": "allocation tracker",
    "arrival": "time to target",
    "arrivals": "times to target",
    "arrive": "reach the target",
    "arrived": "reached the target",
    "arrives": "reaches the target",
    "brake": "cancel, cancellation",
    "braked": "cancelled",
    "brakes": "cancels",
    "braking": "cancelling",
    "brim": "limit",
    "companion": "related hyperparameter",
    "coolness": "low ratio of learning rate to batch",
    "cooler": "of lower rate or larger batch",
    "heat": "ratio of learning rate to batch",
    "hopeful": "of highest expected speed",
    "hot": "of high ratio of learning rate to batch",
    "hotter": "of higher rate or smaller batch",
    "hottest": "of highest rate or smallest batch",
    "lever": "memory saving",
    "levers": "memory savings",
    "luck": "seed variance",
    "lucky": "of low time to target by seed variance",
    "pulse": "health",
    "soonest": "first; of shortest time to target",
    "spoilt": "invalid",
    "stretch": "rung",
    "stretches": "rungs",
    "surest": "of least expected regret",
    "trunk": "reference run",
    "trunks": "reference runs",
    "workshop": "training session",
}
"""Words that are not used, and the term in their place."""

_PHRASES = {
    r"beside (the|what is) best": "neighbour of the best trial",
    r"\w_beside\b|\bbeside_\w|\bbeside =": "neighbour of the best trial",
    r"nothing rests on": "is not used for",
    r"others? had the processors?": "CPU contention",
    r"tells? (little |nothing |much )?of": "is informative about",
    r"(what|as) (it|they|settings|each) promises?": "predicted score",
    r"who comes": "caller, authenticated identity",
}
"""Patterns of words that are common by themselves, and the term in their place."""

_ALLOWED: dict[tuple[str, str], str] = {
    ("advisor/pipe/framing.py", "arrive"): "Bytes arrive on a pipe.",
    ("advisor/planning/trials/rung_schedule.py", "stretch"): "Stored logs name checkpoints so.",
}
"""Exceptions by file and word, each with its reason."""


_WIRE_NAMES = re.compile(
    r"\b(Lever|LeverGain|Companion)\b|(?<=\.)levers?\b|\blevers?(?==)|^\s*levers?: "
)
"""Names of messages of the wire and of their fields, which stay as clients know them: classes
wherever they stand, fields where they are defined, described, read or given."""


def _words(line: str) -> set[str]:
    """Return the words of a line in lower case, identifiers split at underscores and capitals."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", line)}


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)


def _files() -> Iterator[Path]:
    for name in _CHECKED:
        start = ROOT / name
        yield from (start.rglob("*") if start.is_dir() else (start,))


def _faults(line: str) -> list[str]:
    """Return the listed words of a line, and the patterns that it matches."""
    patterns = [phrase for phrase in _PHRASES if re.search(phrase, line, re.IGNORECASE)]
    return sorted(_words(_WIRE_NAMES.sub("", line)) & _TERMS.keys()) + patterns


def _occurrences() -> Iterator[tuple[str, int, str]]:
    """Yield file, line and word wherever a listed word or phrase is used; line 0 is the path."""
    for file in sorted(_files()):
        path = file.relative_to(ROOT).as_posix()
        if file.suffix not in _SUFFIXES or _is_below(path, _GENERATED):
            continue
        for number, line in enumerate((path, *file.read_text(encoding="utf-8").splitlines())):
            for word in _faults(line):
                yield path, number, word


def test_standard_terms_are_used() -> None:
    found = [
        f"{path}:{number}: {word!r}; write: {(_TERMS | _PHRASES)[word]}"
        for path, number, word in _occurrences()
        if (path, word) not in _ALLOWED
    ]
    assert not found, "\n".join(("words that docs/glossary.md has a term for:", *found))


def test_exceptions_are_needed() -> None:
    used = {(path, word) for path, _, word in _occurrences()}
    unused = [str(key) for key in _ALLOWED if key not in used]
    assert not unused


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("the arrival of a trial", "arrival"),
        ("arrival_s: float", "arrival"),
        ("class NoiseStretch:", "stretch"),
        ("def next_lever(view):", "lever"),
        ("It pulls a lever.", "lever"),
        ("TRUNK = 3", "trunk"),
        ("It has ARRIVED.", "arrived"),
        ("It lies beside the best.", "beside (the|what is) best"),
        ("Who comes is named.", "who comes"),
    ],
)
def test_words_are_found_in_prose_and_in_identifiers(line: str, word: str) -> None:
    assert _faults(line) == [word]


@pytest.mark.parametrize(
    "line",
    [
        "a photograph",
        "`companions`",
        "leverage",
        "upstretched",
        "beside a",
        "lever: Lever | None = None",
        "if command.lever is not None:",
        "levers=(), companions=(Companion(),)",
    ],
)
def test_parts_of_other_words_and_names_of_the_wire_are_not_found(line: str) -> None:
    assert not _faults(line)
