"""Compares advice for trainings of a stated length with the best of a grid of such trainings.

``time`` measures what a step takes, ``record`` trains the grid, ``compare`` asks every method and
trains its answers, ``report`` writes the tables. Each resumes after an interruption, and Ctrl-C
loses no more than the training that is being made.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from types import FrameType

# Before torch and Lightning are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch

from benchmarks.trainings_bench.comparison import compare
from benchmarks.trainings_bench.methods import METHODS
from benchmarks.trainings_bench.record import record
from benchmarks.trainings_bench.report import report
from benchmarks.trainings_bench.times import measure
from benchmarks.trainings_bench.workloads import SCHEDULES, WORKLOADS

RESULTS = Path(__file__).parent / "results" / "trainings.md"
_STOPPED = 130
_ALL = 10_000


def main() -> int:
    """Run the task, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    torch.set_num_threads(arguments.threads)
    interrupts: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        _run(arguments)
    except (KeyboardInterrupt, SystemExit):
        # A worker takes whatever is raised in a command for a failure of that command.
        if not interrupts:
            raise
        print("stopped; what was trained is kept", flush=True)
        return _STOPPED
    return 0


def _run(arguments: argparse.Namespace) -> None:
    chosen = [WORKLOADS[name] for name in arguments.only or WORKLOADS]
    if arguments.task == "time":
        for workload in chosen:
            measure(workload)
        return
    schedules = arguments.schedule or list(SCHEDULES)
    if arguments.task == "report":
        text = report(chosen, schedules)
        print(text)
        arguments.output.write_text(text, encoding="utf-8")
        return
    left = getattr(arguments, "cells", 0)
    for schedule, workload in product(schedules, chosen):
        if arguments.task == "record":
            left -= record(workload, schedule, left)
        else:
            compare(workload, schedule, arguments.methods, arguments.seeds)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainings", description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    for name in ("time", "record", "compare", "report"):
        task = tasks.add_parser(name)
        task.add_argument(
            "--only",
            action="append",
            choices=list(WORKLOADS),
            metavar="WORKLOAD",
            help=f"of {', '.join(WORKLOADS)}; may be given again",
        )
        task.add_argument("--threads", type=int, default=1, metavar="N", help="of torch")
        if name != "time":
            task.add_argument(
                "--schedule",
                action="append",
                choices=list(SCHEDULES),
                help="all by default; may be given again",
            )
    tasks.choices["record"].add_argument(
        "--cells", type=int, default=_ALL, metavar="N", help="most trainings to make"
    )
    tasks.choices["compare"].add_argument(
        "--methods",
        nargs="+",
        choices=list(METHODS),
        default=[name for name, entry in METHODS.items() if entry.is_repeatable],
        metavar="METHOD",
        help=f"of {', '.join(METHODS)}; all whose answers do not depend on the machine's load by "
        "default",
    )
    tasks.choices["compare"].add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N")
    tasks.choices["report"].add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
