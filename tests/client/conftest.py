"""A fake daemon for each test, and a model file to send to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_server import FakeDaemon


@pytest.fixture(autouse=True)
def _clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own daemon, cache and configuration out of the tests."""
    for name in os.environ:
        if name.startswith("BSADVISE_") or name == "XDG_RUNTIME_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path short enough for a unix socket."""
    return tmp_path_factory.mktemp("s") / "d.sock"


@pytest.fixture
def daemon(socket: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(socket) as fake:
        yield fake


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text("import helper\n\n\ndef build_model():\n    return helper.make()\n")
    (tmp_path / "helper.py").write_text("def make():\n    return None\n")
    return path
