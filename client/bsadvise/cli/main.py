"""``bsadvise``: the group of commands, and what becomes of errors."""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path
from typing import IO, Any

import click

from bsadvise.cli.commands.completion import COMPLETION_VARIABLE, completion
from bsadvise.cli.commands.devices import devices
from bsadvise.cli.commands.doctor import doctor
from bsadvise.cli.commands.estimate import estimate
from bsadvise.cli.commands.init import init
from bsadvise.cli.commands.jobs import jobs
from bsadvise.cli.commands.recommend import recommend
from bsadvise.cli.commands.report import compare, report
from bsadvise.cli.commands.serve import serve
from bsadvise.cli.commands.token import token
from bsadvise.cli.config import load_defaults
from bsadvise.cli.options import UserPath, no_color_option
from bsadvise.cli.render.output import say_aside
from bsadvise.model.errors import BsadviseError, ModelFileError, NothingToSay
from bsadvise.version import __version__


class LeftAtOnce(BaseException):
    """The user wants no more of it; click would make a KeyboardInterrupt its own."""


class WrongUsage(click.ClickException):
    """Wrong usage, told as all errors are: what, where, and what to do."""

    exit_code = click.UsageError.exit_code

    @staticmethod
    def of(error: click.UsageError) -> click.ClickException:
        """Return it for click's own; a command without arguments shows its help as ever."""
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # Since 8.2.
            return error
        command = "bsadvise" if error.ctx is None else error.ctx.command_path
        what = error.format_message().rstrip(".")
        stop = "" if what.endswith("?") else ";"
        return WrongUsage(f"{what}{stop} see: {command} --help")

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's signature
        """Print it on stderr."""
        say_aside(f"bsadvise: {self.message}")


class Commands(click.Group):
    """A group that tells an error in one paragraph and ends with the error's exit code."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:  # noqa: ANN401
        """Read the command line up to the command."""
        try:
            return super().make_context(*arguments, **extra)
        except click.UsageError as error:
            raise WrongUsage.of(error) from error

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise WrongUsage.of(error) from error
        except BsadviseError as error:
            if os.environ.get("BSADVISE_DEBUG") == "1":
                raise
            _tell(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            raise LeftAtOnce from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own ends: wrong usage, done, and a closed pipe
        except (OSError, MemoryError) as error:
            if os.environ.get("BSADVISE_DEBUG") == "1":
                raise
            say_aside(f"bsadvise: {_describe(error)}")
            ctx.exit(BsadviseError.exit_code)
        except Exception as error:
            if os.environ.get("BSADVISE_DEBUG") == "1":
                raise
            say_aside(
                f"bsadvise: {type(error).__name__}: {error}. This is a defect of bsadvise; "
                "BSADVISE_DEBUG=1 shows where."
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
    help="File of settings.  [default: ~/.config/bsadvise/bsadvise.toml, where there is one]",
)
@no_color_option
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Find the batch size, accumulation and learning rate that train a PyTorch model fastest."""
    defaults = load_defaults(config, os.environ, cli)
    ctx.default_map = dict(defaults.flags)
    if defaults.ignored and ctx.invoked_subcommand != serve.name:  # That one speaks for itself.
        say_aside(f"bsadvise: {defaults.warning}")


for _command in (
    recommend, estimate, report, compare, devices, doctor, serve, jobs, token, init, completion,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    # What the output's encoding lacks is written out; the answer is not lost for a letter.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # About the user's files; their own interpreter says so when it runs them.
    warnings.simplefilter("ignore", SyntaxWarning)
    try:
        cli(prog_name="bsadvise")
    except SystemExit as end:
        if COMPLETION_VARIABLE not in os.environ:
            raise
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)  # A daemon may still be asked.
    except LeftAtOnce:
        say_aside("bsadvise: interrupted")
        sys.stdout.flush()
        # Without the interpreter's tidying up: a call that was begun in this moment makes grpc's
        # objects wait for ever when they are collected.
        os._exit(NothingToSay.exit_code)


def _tell(error: BsadviseError) -> None:
    say_aside(f"bsadvise: {error}")
    fault = error.fault if isinstance(error, ModelFileError) else None
    if fault is not None and fault.traceback:
        say_aside(f"\n{fault.traceback.rstrip()}")
    if fault is not None and fault.output:
        say_aside(f"\nIt had printed:\n{fault.output.rstrip()}")


def _describe(error: OSError | MemoryError) -> str:
    """Return what the machine refused: a place that is full or closed, or memory."""
    if isinstance(error, MemoryError):
        return "not enough memory for this"
    place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{place}{error.strerror or error}"
