"""Runs what has to be seen on a GPU, and writes one JSON file: ``python -m benchmarks.gpu``.

Run again, it goes on with the steps that failed, were cut short or were not reached. Where there
is no GPU it runs small forms on the CPU, and says what it skipped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu.machine import read_machine
from benchmarks.gpu.plan import (
    STEPS,
    TOTAL_LIMIT_S,
    UNFINISHED,
    Part,
    Planned,
    Status,
    limit_of,
    plan,
)
from benchmarks.gpu.report import read_json, write_json
from benchmarks.gpu.running import Outcome, run_step

FORMAT = 1
_ROOT = Path(__file__).parents[2]
_SOURCES = ("advisor", "client/bsadvise", "benchmarks/gpu", "benchmarks/models")
_KEEP_S = 5.0
"""Seconds kept for writing the end down."""


def main() -> int:
    """Run the steps that are left, and return the exit code: 0 where none is unfinished."""
    began_s = time.monotonic()
    arguments = _parse(sys.argv[1:])
    found = read_machine()
    parts = [Part(part) for part in found.pop("parts")]
    if device_id := found.pop("device_id"):
        # Every process that is started sees this card alone, as its first.
        os.environ |= {"CUDA_VISIBLE_DEVICES": device_id, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    output = arguments.output or _default_output(found["card"])
    output.parent.mkdir(parents=True, exist_ok=True)
    subject = {"format": FORMAT, "card": found["card"], "source_digest": _source_digest()}
    steps = earlier_steps(read_json(output), subject)
    again = arguments.only if arguments.again else ()
    done = [n for n, step in steps.items() if step["status"] == Status.DONE and n not in again]
    document = {**subject, "machine": found["machine"], "steps": steps}
    wanted = [step for step in STEPS if step.name in arguments.only]
    for planned in plan(parts, done=done, steps=wanted):
        left_s = arguments.total_limit_s - _KEEP_S - (time.monotonic() - began_s)
        print(f"== {planned.step.name}", flush=True)
        outcome = _run(planned, left_s, is_small=Part.CUDA not in parts)
        # What an earlier run had of a step is more than that this one did not reach it.
        if outcome.status is not Status.NOT_REACHED or planned.step.name not in steps:
            steps[planned.step.name] = asdict(outcome)
        write_json(output, document)
    write_json(output, document)
    print(f"\n{describe(steps)}\n{output}: {time.monotonic() - began_s:.0f} s")
    is_unfinished = any(steps[step.name]["status"] in UNFINISHED for step in wanted)
    return int(is_unfinished)


def earlier_steps(earlier: dict[str, Any], subject: dict[str, Any]) -> dict[str, Any]:
    """Return the steps of an earlier run, by name, as it wrote them.

    Args:
        earlier: What was written then; empty for nothing.
        subject: What this run is of; of another card, or other sources, nothing is kept.
    """
    is_same = all(earlier.get(name) == value for name, value in subject.items())
    steps: dict[str, Any] = earlier.get("steps", {}) if is_same else {}
    return steps


def describe(steps: dict[str, Any]) -> str:
    """Return a line for each step: how it ended, how long it took, what was skipped, and why."""
    lines = []
    for name, step in steps.items():
        lines.append(f"{name:<22}{step['status']:<12}{step['seconds']:6.1f} s")
        lines += [f"{'':<22}skipped: {skip}" for skip in step["skips"]]
        lines += [f"{'':<22}{step['error']}"] if step["error"] else []
    return "\n".join(lines)


def _run(planned: Planned, left_s: float, *, is_small: bool) -> Outcome:
    if planned.is_skipped:
        return Outcome(status=Status.SKIPPED, skips=planned.skips)
    limit_s = limit_of(planned.step, left_s)
    if limit_s is None:
        return Outcome(status=Status.NOT_REACHED, skips=planned.skips)
    command = [sys.executable, "-m", "benchmarks.gpu.step", *(["--small"] if is_small else [])]
    return run_step([*command, str(limit_s), planned.step.name], limit_s, planned.skips)


def _default_output(card: dict[str, Any] | None) -> Path:
    if card is None:
        return _ROOT / ".gpu" / "cpu.json"
    slug = re.sub(r"[^a-z0-9]+", "-", card["name"].lower()).strip("-")
    return _ROOT / "benchmarks" / "results" / "gpu" / f"{slug}.json"


def _source_digest() -> str:
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [step.name for step in STEPS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda text: [names[names.index(name)] for name in text.split(",")],
        default=names,
        metavar="STEP,…",
        help=f"of {', '.join(names)}; all by default",
    )
    parser.add_argument("--again", action="store_true", help="repeat the steps that are done")
    parser.add_argument(
        "--total-limit-s", type=float, default=TOTAL_LIMIT_S, help="%(default)s by default"
    )
    parser.add_argument("--output", type=Path, help="where the JSON goes, and is gone on from")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
