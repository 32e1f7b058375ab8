"""What the GitHub Action runs: one command of bsadvise, its answer as outputs and as a summary.

``python -m bsadvise.integrations.github`` reads its inputs in environment variables, not in its
command line, so that no input is read by a shell.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_COMMANDS = ("estimate", "recommend")
_OUTPUTS = (
    "micro_batch_size", "accumulation_steps", "effective_batch_size", "learning_rate",
    "max_micro_batch_size", "measured_peak_bytes", "predicted_peak_bytes",
)  # fmt: skip
_ANSWER = "bsadvise.json"


def main(environment: Mapping[str, str]) -> int:
    """Run a command, write its answer to the step's outputs and summary, and return its exit code.

    Args:
        environment: ``BSADVISE_ACTION_COMMAND``, ``_MODEL``, ``_FLAGS`` and ``_ARGUMENTS``, the
            last two as a shell would split them; ``GITHUB_OUTPUT``, ``GITHUB_STEP_SUMMARY`` and
            ``RUNNER_TEMP`` as runners set them.
    """
    command, model, flags, arguments = (
        environment.get(f"BSADVISE_ACTION_{name}", "")
        for name in ("COMMAND", "MODEL", "FLAGS", "ARGUMENTS")
    )
    if command not in _COMMANDS:
        print(f"::error::command is {command!r}; it may be {' or '.join(_COMMANDS)}")  # noqa: T201
        return 2
    answer = Path(environment["RUNNER_TEMP"]) / _ANSWER
    answer.unlink(missing_ok=True)
    words = [command, model, *shlex.split(flags), "--save", str(answer)]
    if arguments:
        words += ["--", *shlex.split(arguments)]
    done = subprocess.run(
        [sys.executable, "-m", "bsadvise", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        # Settings of the step are no settings of the command.
        env={k: v for k, v in environment.items() if not k.startswith("BSADVISE_ACTION_")},
    )
    print(done.stdout)  # noqa: T201
    _append(environment["GITHUB_STEP_SUMMARY"], _summary(model, done.stdout, done.returncode))
    if answer.exists():
        document = json.loads(answer.read_text(encoding="utf-8"))
        _append(environment["GITHUB_OUTPUT"], "".join(_outputs(document, answer)))
    return done.returncode


def _summary(model: str, text: str, exit_code: int) -> str:
    """Return Markdown of an answer, in a fence that nothing in it can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    title = " ".join(re.sub(r"[^\w./ -]", "", model).split())
    verdict = "" if exit_code == 0 else f"**Failed with exit code {exit_code}.**\n\n"
    body = f"{fence}\n{text.rstrip()}\n{fence}\n" if text.strip() else "See the log of the step.\n"
    return f"### bsadvise: {title}\n\n{verdict}{body}"


def _outputs(document: Mapping[str, Any], answer: Path) -> Iterator[str]:
    """Yield the lines of ``GITHUB_OUTPUT``: numbers, and where the whole answer is."""
    for name in _OUTPUTS:
        value = document.get(name)
        if isinstance(value, int | float):
            yield f"{name}={value}\n"
    yield f"answer={answer}\n"


def _append(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main(os.environ))
