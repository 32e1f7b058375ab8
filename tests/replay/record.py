"""Records searches: ``python -m tests.replay.record NAME…``, one file at a time.

Without names it records whatever has no file yet, so that it goes on where it was stopped. With
names it searches anew, and replaces their files. ``--answers`` searches nothing: it asks the
planner again about the logs as they are and rewrites what it says, so that a change of answers is
a difference that a reviewer sees; for a log whose commands the planner would no longer ask for,
that is the answer to a search that it would not have made, and it says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from tests.replay.comparing import differences
from tests.replay.contests import CONTESTS, compete
from tests.replay.recordings import (
    Recording,
    answer_to_dict,
    path_of,
    read_recording,
    recorded_names,
    write_recording,
)
from tests.replay.replaying import PlanGoesOn, changed_commands, the_planner, with_answers
from tests.replay.searches import SEARCHES
from tests.replay.searching import carry_out
from tests.replay.simulations import SIMULATIONS, simulate

ALL = (*SEARCHES, *SIMULATIONS, *CONTESTS)


def main() -> int:
    """Record what the command line names, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    if arguments.answers:
        for name in arguments.names or recorded_names():
            _answer_again(name)
        return 0
    for name in arguments.names or [name for name in ALL if not path_of(name).exists()]:
        _tell(f"{name} …")
        recording = _record(name)
        write_recording(recording, path_of(name))
        _tell(f"{name}: {len(recording.log)} measurements")
    return 0


def _record(name: str) -> Recording:
    planner, package_version = the_planner(), version("bsadvise")
    if name in SIMULATIONS:
        return with_answers(simulate(SIMULATIONS[name], planner, package_version), planner)
    if name in CONTESTS:
        return with_answers(compete(CONTESTS[name], package_version), planner)
    recording, given = carry_out(SEARCHES[name], package_version)
    recording = with_answers(recording, planner)
    found = differences(answer_to_dict(given), answer_to_dict(recording.answer), "answer")
    if found:
        raise SystemExit(f"{name}: the daemon gave another answer than the planner gives:\n{found}")
    return recording


def _answer_again(name: str) -> None:
    planner, path = the_planner(), path_of(name)
    old = read_recording(path)
    try:
        new = with_answers(old, planner)
    except PlanGoesOn as error:
        _tell(f"{name}: left as it is: {error}; record it anew")
        return
    if changed_commands(old, planner, range(len(old.log))):
        _tell(f"{name}: the planner no longer asks for these commands; better record it anew")
    if new != old:
        write_recording(new, path)
        _tell(f"{name}: rewritten")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.replay.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; see searches.py")
    parser.add_argument(
        "--answers", action="store_true", help="rewrite only what the planner says of the logs"
    )
    parsed = parser.parse_args(arguments)
    known = recorded_names() if parsed.answers else ALL
    if unknown := set(parsed.names) - set(known):
        parser.error(f"no such search: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return parsed


if __name__ == "__main__":
    sys.exit(main())
