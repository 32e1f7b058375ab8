"""``bsadvise recommend``: ask, follow, answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bsadvise.cli.commands.applying import Applied, print_with_changes
from bsadvise.cli.commands.command_line import parse_command
from bsadvise.cli.commands.report import PAGE, Reporting
from bsadvise.cli.connecting import open_client
from bsadvise.cli.interrupts import Interrupts
from bsadvise.cli.options import (
    UserPath,
    address_option,
    advice_options,
    advice_output_option,
    advice_request,
    arguments_argument,
    option,
    quiet_option,
    save_option,
    task_options,
)
from bsadvise.cli.render.output import print_answer
from bsadvise.cli.render.progress import show_progress
from bsadvise.cli.render.views import observation_document, observation_view
from bsadvise.client import Client
from bsadvise.exports.formats.registry import EXPORTS
from bsadvise.model.advice import Advice
from bsadvise.model.recommendation import Recommendation
from bsadvise.model.request import EntryKind
from bsadvise.paths import normalise, normalise_all
from bsadvise.source.data_paths import name_data_paths
from bsadvise.source.entry_kind import entry_kind_of
from bsadvise.source.imports import parse


@click.command()
@click.argument("model", type=UserPath(exists=True, dir_okay=False), required=False)
@arguments_argument
@option(
    "--command",
    metavar="COMMAND",
    help="In place of MODEL: 'python train.py --batch-size {batch} --lr {lr}', started anew for "
    "each setting, for scripts that nothing else serves.",
)
@task_options
@advice_options
@advice_output_option
@save_option
@click.option("--diff", is_flag=True, help="Print what to change in the files, and nothing else.")
@click.option("--write", is_flag=True, help="Change the files, after showing what is changed.")
@option("--report", type=PAGE, help="Also write all that was found as an HTML file.")
@quiet_option
@option("--request-id", help="Asking twice with the same id asks once; for scripts.")
@address_option
def recommend(
    model: Path | None,
    arguments: tuple[str, ...],
    command: str | None,
    **flags: Any,  # noqa: ANN401 - click's flags
) -> None:
    """Find micro-batch, accumulation and learning rate for MODEL, and run them.

    MODEL is a model file, or a script that trains by itself; what comes after `--` is the script's
    own command line. Where that has the placeholders {batch}, {lr} or {accumulation}, or a COMMAND
    is given, memory and speed are measured by runs of it, and the rate follows a rule.

    Ctrl-C stops well and prints the best answer so far; a second one leaves at once.

    Exit codes: 0 answered, 2 wrong usage, 3 the model file is at fault, 4 no batch fits, 5 no
    daemon answers, 6 cancelled or timed out with nothing to say, 7 not permitted, 8 over a quota,
    1 anything else.
    """
    options = advice_request(flags)
    if options["observe_only"] and flags["output"] in EXPORTS:
        raise click.UsageError(
            f"--output {flags['output']} prints an advised setting, and --observe-only advises none"
        )
    if options["observe_only"] and (flags["diff"] or flags["write"]):
        raise click.UsageError("--observe-only advises nothing that --diff or --write could apply")
    if flags["diff"] and flags["output"] != "text":
        raise click.UsageError("--diff and --output are two answers for one standard output")
    if command is not None:
        if model is not None or arguments:
            raise click.UsageError("--command says what is started: give no MODEL beside it")
        line = parse_command(command)
        model, arguments = line.script, line.arguments
        options["python"] = options["python"] or line.python
    elif model is None:
        raise click.UsageError("Missing argument 'MODEL', or --command.")
    reporting = Reporting(flags["report"])
    if flags["data_paths"]:
        data_paths = normalise_all(flags["data_paths"])
        options["data_paths"] = name_data_paths(normalise(model), data_paths)
    if options["python"] is None and flags["address"] is None:
        options["python"] = scripts_python(model, os.environ)
    with open_client(flags["address"]) as client, Interrupts() as interrupts:
        created = client.create_recommendation(
            model,
            include=flags["include"],
            arguments=arguments,
            request_id=flags["request_id"],
            **options,
        )
        interrupts.stop_with(lambda: client.cancel(created.recommendation_id))
        with reporting.of(client, created.recommendation_id):
            advice = follow_to_answer(client, created, quiet=flags["quiet"])
    once_more = kept_as(created.recommendation_id)
    if options["observe_only"] and advice.reference is not None:
        document, view = observation_document(advice), observation_view(advice)
        print_answer(document, view, flags["output"], flags["save"], once_more=once_more)
        reporting.write()
        return
    asked = Applied(
        model=model,
        include=flags["include"],
        output=flags["output"],
        save=flags["save"],
        diff=flags["diff"],
        write=flags["write"],
        once_more=once_more,
        explained_by=None if flags["explain"] else explained_by(created.recommendation_id),
        reporting=reporting,
    )
    print_with_changes(advice, created, asked)


def scripts_python(path: Path, environment: Mapping[str, str]) -> str | None:
    """Return the interpreter of the active virtual environment, for a script whose packages it has.

    None where the daemon's own will do: for a model file, outside of an environment, in that of
    this program, and where torch is not in it.

    Args:
        path: The entry file.
        environment: Environment variables.
    """
    active = environment.get("VIRTUAL_ENV")
    if not active or Path(active).resolve() == Path(sys.prefix).resolve():
        return None
    has_torch = any(Path(active).glob("lib*/python3*/site-packages/torch/__init__.py"))
    if not has_torch or entry_kind_of(parse(path)) is not EntryKind.SCRIPT:
        return None
    return str(Path(active) / "bin" / "python")


def kept_as(recommendation_id: str) -> str:
    """Return the command that saves what the daemon keeps of a recommendation."""
    return f"bsadvise jobs show {recommendation_id} --save FILE"


def explained_by(recommendation_id: str) -> str:
    """Return the command that prints all that the daemon keeps of an answer."""
    return f"bsadvise jobs show {recommendation_id} --explain"


def follow_to_answer(client: Client, recommendation: Recommendation, *, quiet: bool) -> Advice:
    """Show what happens to a recommendation until it has ended, and return its advice.

    Raises:
        BsadviseError: There is none; the class says why.
    """
    if not recommendation.state.is_final:
        with show_progress(quiet=quiet) as show:
            for event in client.watch(recommendation.recommendation_id, on_waiting=show):
                show(event)
    return client.advice(recommendation.recommendation_id)
