"""``bsadvise report`` and ``bsadvise compare``: what is kept of jobs, as a page.

What makes pages is imported where one is asked for: no other command waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from bsadvise.cli.connecting import open_client
from bsadvise.cli.options import UserPath, address_option
from bsadvise.cli.render.output import say, say_aside
from bsadvise.client import Client
from bsadvise.exports.changes.values import Changes
from bsadvise.model.errors import BsadviseError
from bsadvise.model.explanation import Findings

PAGE = UserPath(dir_okay=False, writable=True)

out_option = click.option("--out", "-o", type=PAGE, required=True, help="The HTML file to write.")


@click.command()
@click.argument("job_id", metavar="ID")
@out_option
@address_option
def report(job_id: str, *, out: Path, address: str | None) -> None:
    """Write all that a recommendation found as one HTML file, which has no script."""
    check_installed()
    with open_client(address) as client:
        found = client.findings(job_id)
    write_report(out, found)
    say(f"{out} is written")


@click.command()
@click.argument("job_a", metavar="A")
@click.argument("job_b", metavar="B")
@out_option
@address_option
def compare(job_a: str, job_b: str, *, out: Path, address: str | None) -> None:
    """Write two recommendations side by side as one HTML file."""
    from bsadvise.report import comparing, page  # noqa: PLC0415

    check_installed()
    with open_client(address) as client:
        found = client.findings(job_a), client.findings(job_b)
    _write(out, page.render_comparison(comparing.compare(*found)))
    say(f"{out} is written")


def check_installed() -> None:
    """See that a report can be made, before what it is about is searched for.

    Raises:
        ExportFailed: The extra is not installed.
    """
    from bsadvise.report import page  # noqa: PLC0415

    page.check_installed()


class Reporting:
    """The report of a recommendation that is being asked for, where one is wanted."""

    def __init__(self, path: Path | None) -> None:
        """Prepare to write to a path; None where no report is wanted.

        Raises:
            ExportFailed: The extra is not installed.
        """
        self._path = path
        self._findings: Findings | None = None
        if path is not None:
            check_installed()

    @contextmanager
    def of(self, client: Client, job_id: str) -> Iterator[None]:
        """Keep what was found once the job has ended; where it was in vain, write that at once."""
        try:
            yield
        except BsadviseError:
            with suppress(BsadviseError):  # Why there is no answer is said, whatever else fails.
                self._keep(client, job_id)
                self.write()
            raise
        self._keep(client, job_id)

    def _keep(self, client: Client, job_id: str) -> None:
        if self._path is not None:
            self._findings = client.findings(job_id)

    def write(self, changes: Changes | None = None) -> None:
        """Write the report, if one is wanted; ``changes`` are of the user's own files."""
        if self._path is not None and self._findings is not None:
            write_report(self._path, self._findings, changes)
            say_aside(f"{self._path} is written")


def write_report(path: Path, findings: Findings, changes: Changes | None = None) -> None:
    """Write a job's report.

    Args:
        path: Where to.
        findings: All that is kept of the job.
        changes: What to change in the user's files; None where they are not at hand.

    Raises:
        BsadviseError: It cannot be written, or drawn.
    """
    from bsadvise.report import page  # noqa: PLC0415

    _write(path, page.report_of(findings, changes))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BsadviseError(f"{path} cannot be written: {error.strerror}") from error
