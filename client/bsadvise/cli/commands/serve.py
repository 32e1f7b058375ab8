"""``bsadvise serve``: become the daemon."""

from __future__ import annotations

import os
import sys

import click

from bsadvise.cli.connecting import config_flags
from bsadvise.transport.launcher import check_server_installed


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> None:
    """Run the daemon; all arguments are its own (see: bsadvise serve --help)."""
    check_server_installed()
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "advisor", *config_flags(), *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted
