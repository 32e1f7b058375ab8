"""Which commands must be given a worker in which nothing has run before."""

from __future__ import annotations

from bsadvise.model.commands import Command, RunScript, RunStep, Train, Verify


def needs_fresh_process(command: Command) -> bool:
    """Return whether a command must find a process in which nothing has run before.

    A process that has run out of memory, or has cached blocks of another size, no longer
    shows what the user's own process will see. Neither does one whose user code keeps state from
    another training.
    """
    is_alone = isinstance(command, Train) and command.in_fresh_process
    return is_alone or isinstance(command, RunStep | Verify | RunScript)
