"""``bsadvise jobs``: recommendations that were asked for before."""

from __future__ import annotations

from pathlib import Path

import click

from bsadvise.cli.commands.recommend import explained_by, follow_to_answer, kept_as
from bsadvise.cli.completing import complete_job
from bsadvise.cli.connecting import open_client
from bsadvise.cli.options import (
    address_option,
    advice_output_option,
    option,
    output_option,
    quiet_option,
    save_option,
)
from bsadvise.cli.render.output import print_answer, say
from bsadvise.cli.render.views import advice_view, job_view, jobs_view
from bsadvise.cli.render.views.plots import plots_view
from bsadvise.exports.optuna_study import write_optuna_study
from bsadvise.exports.study import make_study, measured_at_s
from bsadvise.version import __version__

job_argument = click.argument("job_id", metavar="ID", shell_complete=complete_job)


@click.group()
def jobs() -> None:
    """List, read, follow, stop and remove recommendations."""


@jobs.command(name="list")
@option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The most to list.")
@output_option
@address_option
def list_jobs(limit: int, output: str, address: str | None) -> None:
    """List recommendations, newest first."""
    with open_client(address) as client:
        found = client.list(limit)
    print_answer({"recommendations": [one.to_dict() for one in found]}, jobs_view(found), output)


@jobs.command()
@job_argument
@click.option("--log", is_flag=True, help="Also every measurement that the answer rests on.")
@click.option("--plot", is_flag=True, help="Draw memory, throughput and losses.")
@advice_output_option
@save_option
@address_option
def show(
    job_id: str,
    *,
    log: bool,
    plot: bool,
    output: str,
    explain: bool,
    save: Path | None,
    address: str | None,
) -> None:
    """Show a recommendation."""
    if plot and output != "text":
        raise click.UsageError(f"--plot draws text; for the figures as {output} ask for --log")
    with open_client(address) as client:
        found = client.get(job_id)
        measured = client.measurements(job_id) if log or plot else ()
    document = found.to_dict()
    if log:
        document["measurements"] = [one.to_dict() for one in measured]
    print_answer(
        document,
        job_view(
            found,
            measured if log else None,
            explained_by=None if explain else explained_by(job_id),
            plots=plots_view(measured, found.advice) if plot else None,
        ),
        output,
        save,
        advice=found.advice,
        once_more=kept_as(job_id),
    )


@jobs.command()
@job_argument
@advice_output_option
@save_option
@quiet_option
@address_option
def watch(
    job_id: str,
    *,
    output: str,
    explain: bool,
    save: Path | None,
    quiet: bool,
    address: str | None,
) -> None:
    """Follow a recommendation from its first event to its answer; Ctrl-C leaves it running."""
    with open_client(address) as client:
        found = client.get(job_id)
        advice = follow_to_answer(client, found, quiet=quiet)
    print_answer(
        advice.to_dict(),
        advice_view(
            advice,
            found.request.source.entry_path,
            explained_by=None if explain else explained_by(job_id),
        ),
        output,
        save,
        advice=advice,
        once_more=kept_as(job_id),
    )


@jobs.command()
@job_argument
@address_option
def cancel(job_id: str, address: str | None) -> None:
    """Ask a recommendation to stop; it keeps its best answer so far."""
    with open_client(address) as client:
        found = client.cancel(job_id)
    ended = found.state.is_final
    say(f"{job_id} had ended: {found.state}" if ended else f"{job_id} is stopping")


@jobs.command()
@job_argument
@address_option
def delete(job_id: str, address: str | None) -> None:
    """Remove a recommendation that does not run."""
    with open_client(address) as client:
        client.delete(job_id)
    say(f"{job_id} is removed")


@jobs.command(name="export-study")
@job_argument
@option(
    "--storage", required=True, metavar="URL",
    help="Database of an Optuna storage, such as sqlite:///study.db.",
)  # fmt: skip
@click.option("--name", help="The study's name there.  [default: ID]")
@click.option("--overwrite", is_flag=True, help="Replace a study of that name exported before.")
@address_option
def export_study(
    job_id: str, *, storage: str, name: str | None, overwrite: bool, address: str | None
) -> None:
    """Write a recommendation's trials as an Optuna study, for optuna-dashboard."""
    with open_client(address) as client:
        found = client.get(job_id)
        log = client.measurements(job_id)
        ended_at_s = measured_at_s(client.watch(job_id), len(log))
    study = make_study(found, log, ended_at_s, __version__)
    name = name or found.recommendation_id
    write_optuna_study(study, storage, name, overwrite=overwrite)
    say(f"{name} is written: {len(study.trials)} trials")
