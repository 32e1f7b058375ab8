"""What the package says of itself: version, licence, addresses."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import bsadvise
from bsadvise.cli.main import cli
from click.testing import CliRunner

import advisor

ROOT = Path(__file__).parents[2]


def test_there_is_one_version() -> None:
    assert bsadvise.__version__ == advisor.__version__ == metadata.version("bsadvise")
    assert CliRunner().invoke(cli, ["--version"]).output.split()[-1] == bsadvise.__version__


def test_a_checkout_knows_its_version_without_installation() -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'client')!r}, {str(ROOT)!r}]\n"
        "import advisor, bsadvise\n"
        "print(advisor.__version__, bsadvise.__version__)\n"
    )
    # -S: without site-packages, where the installed package is.
    command = [sys.executable, "-I", "-S", "-c", program]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == [bsadvise.__version__] * 2


def test_what_is_installed_brings_its_licence() -> None:
    about = metadata.metadata("bsadvise")
    assert about["License-Expression"] == "Apache-2.0"
    assert about.get_all("License-File") == ["LICENSE"]
    (installed,) = (
        file for file in metadata.files("bsadvise") or () if file.match("*.dist-info/**/LICENSE")
    )
    assert installed.read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_what_is_installed_says_where_it_comes_from() -> None:
    about = metadata.metadata("bsadvise")
    addresses = dict(line.split(", ") for line in about.get_all("Project-URL") or ())
    assert {"Homepage", "Documentation", "Changelog", "Issues", "Security"} <= set(addresses)
    assert all(address.startswith("https://") for address in addresses.values())
    assert about["Author"]
