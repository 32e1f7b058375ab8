"""What ``--command`` gives: a script of Python, and its arguments with their placeholders."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from bsadvise.model.observation import Quantity
from bsadvise.model.placeholders import NAMES, placeholders, unknown_placeholders
from bsadvise.paths import normalise

_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_WITHOUT_EFFECT = ("-u", "-B")
"""Flags of Python that may be left out: buffering, and bytecode that is not written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A command, taken apart.

    Attributes:
        script: What Python runs.
        arguments: Its arguments, with placeholders.
        python: Path of the interpreter; None where it is to be found by its name.
    """

    script: Path
    arguments: tuple[str, ...]
    python: str | None


def parse_command(text: str) -> CommandLine:
    """Return what a command starts.

    Raises:
        click.BadParameter: It does not start a script of Python, or its placeholders are at fault.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _bad(f"{text!r} is no command: {error}") from None
    if not words or not _PYTHON.fullmatch(Path(words[0]).name):
        raise _bad(
            f"it must start Python, as in 'python SCRIPT.py {{batch}}', and starts with "
            f"{words[0] if words else ''!r}: what a shell or another program does around it, such "
            "as setting variables, do before; of a launcher, give the script that it starts"
        )
    rest = words[1:]
    while rest and rest[0] in _WITHOUT_EFFECT:
        rest = rest[1:]
    if not rest or rest[0].startswith("-"):
        what = f"python {rest[0]}" if rest else "python alone"
        raise _bad(f"a script must follow python, as in 'python SCRIPT.py {{batch}}', not {what}")
    script = normalise(rest[0])
    if not script.is_file():
        raise _bad(f"{rest[0]} is no file")
    _check_placeholders(rest[1:])
    python = str(normalise(words[0])) if "/" in words[0] else None
    return CommandLine(script=script, arguments=tuple(rest[1:]), python=python)


def _check_placeholders(arguments: list[str]) -> None:
    known = ", ".join(f"{{{name}}}" for name in NAMES)
    unknown = unknown_placeholders(arguments)
    if unknown:
        raise _bad(f"{', '.join(unknown)} is no placeholder; there are {known}")
    try:
        found = placeholders(arguments)
    except ValueError as error:
        raise _bad(str(error)) from None
    if Quantity.MICRO_BATCH_SIZE not in found:
        raise _bad(
            "it has no {batch}: say where the batch size goes, as in 'python train.py --batch-size "
            f"{{batch}} --lr {{lr}}'; there are {known}"
        )


def _bad(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="'--command'")
