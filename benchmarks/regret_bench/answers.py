"""The methods' answers for a workload, stored one a line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.regret_bench.found import Found, Setting
from benchmarks.regret_bench.json_lines import append_line, keep_lines, read_lines
from benchmarks.regret_bench.recording import DIRECTORY

SHARES = (0.25, 0.5, 1.0, 2.0)
"""Search costs of the frontier, over the oracle's time."""

COSTS = (None, *SHARES)
"""All costs; None is the default budget, independent of the oracle."""


@dataclass(frozen=True, slots=True)
class Case:
    """One search.

    Attributes:
        method: Name of the method.
        seed: Seed.
        share: Seconds allowed, over the oracle's time; None for the default budget.
        allowed_s: The same in modelled seconds; None for the default budget.
        target_loss: The target loss given to the method; None if it uses none.
    """

    method: str
    seed: int
    share: float | None
    allowed_s: float | None
    target_loss: float | None


def answers_path(workload: str) -> Path:
    """Return the path of a workload's answers."""
    return DIRECTORY / "answers" / f"{workload}.jsonl"


def read_answers(path: Path) -> dict[Case, Found]:
    """Return the answers in a file."""
    return {Case(**line["case"]): _found(line["found"]) for line in read_lines(path)}


def add_answer(path: Path, case: Case, found: Found) -> None:
    """Append an answer."""
    append_line(path, {"case": asdict(case), "found": asdict(found)})


def forget_answers(path: Path, methods: Collection[str], shares: Collection[float | None]) -> None:
    """Remove the answers of some methods at some costs."""

    def is_kept(line: dict[str, Any]) -> bool:
        case = line["case"]
        return case["method"] not in methods or case["share"] not in shares

    keep_lines(path, is_kept)


def _found(fields: dict[str, Any]) -> Found:
    setting, interval = fields["setting"], fields["speedup_interval"]
    tuples = {
        "setting": Setting(*setting) if setting else None,
        "speedup_interval": tuple(interval) if interval else None,
    }
    return Found(**fields | tuples)
