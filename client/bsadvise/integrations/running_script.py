"""Advice on the script that is running: the file and the arguments that this process began with.

A trainer that lives in this process cannot be measured here, where it would be changed by it. The
daemon's worker runs the script once more, from its beginning, up to the trainer's own call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bsadvise.model.advice import Advice
from bsadvise.model.errors import SourceUnusable
from bsadvise.model.observation import OBSERVED_VARIABLE

if TYPE_CHECKING:
    from bsadvise.client import Client

_LAUNCHED = "WORLD_SIZE"
"""Set by torchrun and its like, to the number of processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningScript:
    """A script and how it was started.

    Attributes:
        path: The file.
        arguments: Its command line, without its name.
    """

    path: Path
    arguments: tuple[str, ...]


def is_observed() -> bool:
    """Return whether a worker of bsadvise runs this process's script, to measure it."""
    return OBSERVED_VARIABLE in os.environ


def running_script() -> RunningScript:
    """Return what this process runs.

    Raises:
        SourceUnusable: It runs no file: a notebook, or a prompt; or it is one of several processes.
    """
    count = os.environ.get(_LAUNCHED, "")
    if count.isdecimal() and int(count) > 1:
        raise SourceUnusable(
            f"this is one of {count} processes, and measuring needs its device alone: ask before "
            f"they are started, with: bsadvise recommend train.py --gpus {count} -- ARGUMENTS"
        )
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not Path(file).is_file():
        raise SourceUnusable(
            "this process runs no file that could be run again to measure it, as in a notebook: "
            "write the training to a file, and ask with bsadvise.Client().recommend(FILE)"
        )
    return RunningScript(path=Path(file).absolute(), arguments=tuple(sys.argv[1:]))


def recommend_running_script(
    options: Mapping[str, Any],
    *,
    arguments: Sequence[str] | None = None,
    client: Client | None = None,
    include: Sequence[str | os.PathLike[str]] = (),
    quiet: bool = False,
) -> Advice:
    """Return advice on the script that is running; blocks until it is there.

    Args:
        options: What is asked for; see ``AdviceRequest``.
        arguments: Its command line; None for this process's own.
        client: Whom to ask; None for a client of its own, as ``Client()`` finds its daemon.
        include: Files and folders to send with it, in addition to the modules that it imports.
        quiet: Whether to show no progress on stderr.

    Raises:
        SourceUnusable: There is no such script, or it cannot be sent.
        BsadviseError: There is no advice; the class says why.
    """
    # Here, since the worker's run of the script imports this too, and has no use for gRPC.
    from bsadvise.cli.render.progress import show_progress  # noqa: PLC0415
    from bsadvise.client import Client  # noqa: PLC0415

    script = running_script()
    asked = client or Client()
    try:
        with show_progress(quiet=quiet) as show:
            return asked.recommend(
                script.path,
                include=include,
                arguments=script.arguments if arguments is None else arguments,
                on_event=show,
                **options,
            )
    finally:
        if client is None:
            asked.close()
