"""A fake daemon, and a script that this process pretends to run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bsadvise import Client
from bsadvise.v1 import recommendation_pb2

from tests.support.fake_server import FakeDaemon, a_script
from tests.support.wire_samples import state_changed, wire_advice


@pytest.fixture(autouse=True)
def _clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("BSADVISE", "WANDB_", "MLFLOW_")) or name == "WORLD_SIZE":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    """A daemon whose answer is batch 32 x 2 at 0.003, with a loader of no processes of its own."""
    with FakeDaemon(tmp_path_factory.mktemp("s") / "d.sock") as fake:
        answer = wire_advice(loader_workers=0)
        fake.script = a_script(end=state_changed(recommendation_pb2.STATE_SUCCEEDED, advice=answer))
        yield fake


@pytest.fixture
def client(daemon: FakeDaemon) -> Iterator[Client]:
    with Client(daemon.address) as client:
        yield client


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A script that trains, which is what this process runs with ``--epochs 3``."""
    path = tmp_path / "train.py"
    path.write_text("import argparse\n\nprint(argparse)\n")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(path), raising=False)
    monkeypatch.setattr(sys, "argv", ["train.py", "--epochs", "3"])
    return path
