"""``bsadvise completion``: have a shell complete commands, flags, jobs and devices."""

from __future__ import annotations

import os
from pathlib import PurePath

import click
from click.shell_completion import get_completion_class

from bsadvise.cli.render.output import say
from bsadvise.model.errors import BsadviseError

COMPLETION_VARIABLE = "_BSADVISE_COMPLETE"
"""Set by what is printed here when a shell asks for completions."""

_INSTALLED_BY = {
    "bash": 'in ~/.bashrc: eval "$(bsadvise completion bash)"',
    "zsh": 'in ~/.zshrc, after compinit: eval "$(bsadvise completion zsh)"',
    "fish": "once: bsadvise completion fish > ~/.config/fish/completions/bsadvise.fish",
}
_EPILOG = "\b\n" + "\n".join(f"{shell:<5} {how}" for shell, how in _INSTALLED_BY.items())


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(tuple(_INSTALLED_BY)), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print what has SHELL complete commands, flags, files, jobs, devices and cards.

    SHELL is that of the variable SHELL unless it is given.
    """
    name = shell or PurePath(os.environ.get("SHELL", "")).name
    completion_class = get_completion_class(name) if name in _INSTALLED_BY else None
    if completion_class is None:
        raise BsadviseError(
            f"{name or 'an unknown shell'} cannot be told what to complete: name one of "
            f"{', '.join(_INSTALLED_BY)}, as in: bsadvise completion bash"
        )
    say(completion_class(ctx.find_root().command, {}, "bsadvise", COMPLETION_VARIABLE).source())
