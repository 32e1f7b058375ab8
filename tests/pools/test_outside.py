"""What lies outside a bundle, and changes its answer, is seen to change."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from advisor.pools.outside import describe_outside


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return an interpreter, which cannot be run, in an environment without packages."""
    path = tmp_path / "venv" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/false\n")
    (tmp_path / "venv" / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    return path


def install(site: Path, version: str) -> None:
    for old in site.glob("torch-*.dist-info/METADATA"):
        old.unlink()
        old.parent.rmdir()
    info = site / f"torch-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")


def test_another_torch_is_another_answer(python: Path) -> None:
    site = python.parents[1] / "lib" / "python3.12" / "site-packages"
    without = describe_outside(python, ())
    install(site, "2.4.0")
    first = describe_outside(python, ())
    (site / "another_package").mkdir()
    assert describe_outside(python, ()) == first != without
    install(site, "2.5.0")
    assert describe_outside(python, ()) != first


def test_the_torch_of_the_interpreter_below_is_seen(python: Path, tmp_path: Path) -> None:
    site = tmp_path / "usr" / "lib" / "python3" / "dist-packages"
    install(site, "2.4.0")
    config = python.parents[1] / "pyvenv.cfg"
    config.write_text(f"home = {tmp_path / 'usr' / 'bin'}\ninclude-system-site-packages = false\n")
    assert "2.4.0" not in str(describe_outside(python, ()))
    config.write_text(config.read_text().replace("false", "true"))
    assert "2.4.0" in str(describe_outside(python, ()))


def test_the_daemon_s_own_interpreter_is_read_alike() -> None:
    assert metadata.version("torch") in str(describe_outside(Path(sys.executable), ()))
    assert describe_outside(None, ())["torch"] is None


def test_data_that_is_added_or_removed_is_seen(tmp_path: Path) -> None:
    data = tmp_path / "data"
    absent = describe_outside(None, (data,))
    data.mkdir()
    empty = describe_outside(None, (data,))
    (data / "sample").write_text("x")
    full = describe_outside(None, (data,))
    assert absent != empty != full
    assert describe_outside(None, (data,)) == full
