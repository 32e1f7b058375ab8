"""``bsadvise``: the group of commands, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bsadvise.cli.commands.devices import devices
from bsadvise.cli.commands.doctor import doctor
from bsadvise.cli.commands.estimate import estimate
from bsadvise.cli.commands.jobs import jobs
from bsadvise.cli.commands.recommend import recommend
from bsadvise.cli.commands.serve import serve
from bsadvise.cli.commands.token import token
from bsadvise.cli.config import CONFIG_NAME, load_defaults
from bsadvise.cli.options import UserPath
from bsadvise.model.errors import BsadviseError, ModelFileError, NothingToSay
from bsadvise.version import __version__


class LeftAtOnce(BaseException):
    """The user wants no more of it; click would make a KeyboardInterrupt its own."""


class Commands(click.Group):
    """A group that tells an error in one paragraph and ends with the error's exit code."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BsadviseError as error:
            if os.environ.get("BSADVISE_DEBUG") == "1":
                raise
            _tell(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            raise LeftAtOnce from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, OSError):
            raise  # click's own ends: wrong usage, done, and a closed pipe
        except Exception as error:
            if os.environ.get("BSADVISE_DEBUG") == "1":
                raise
            click.echo(
                f"bsadvise: {type(error).__name__}: {error}. This is a defect of bsadvise; "
                "BSADVISE_DEBUG=1 shows where.",
                err=True,
            )
            ctx.exit(BsadviseError.exit_code)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Flags can also be given as BSADVISE_* variables, such as BSADVISE_ADDRESS, and in "
    "bsadvise.toml. A flag wins over a variable, a variable over the file.",
)
@click.version_option(__version__)
@click.option(
    "--config",
    type=UserPath(exists=True, dir_okay=False),
    envvar="BSADVISE_CONFIG",
    help=f"File of settings.  [default: {CONFIG_NAME}, where there is one]",
)
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Find the batch size, accumulation and learning rate that train a PyTorch model fastest."""
    path = config or Path(CONFIG_NAME)
    if path.is_file():
        ctx.default_map = load_defaults(path, cli)


for _command in (recommend, estimate, devices, doctor, serve, jobs, token):
    cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="bsadvise")
    except LeftAtOnce:
        click.echo("bsadvise: interrupted", err=True)
        sys.stdout.flush()
        # Without the interpreter's tidying up: a call that was begun in this moment makes grpc's
        # objects wait for ever when they are collected.
        os._exit(NothingToSay.exit_code)


def _tell(error: BsadviseError) -> None:
    click.echo(f"bsadvise: {error}", err=True)
    fault = error.fault if isinstance(error, ModelFileError) else None
    if fault is not None and fault.traceback:
        click.echo(f"\n{fault.traceback.rstrip()}", err=True)
    if fault is not None and fault.output:
        click.echo(f"\nIt had printed:\n{fault.output.rstrip()}", err=True)
