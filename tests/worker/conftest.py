"""A bench of workers, and a process that is as it was when a test ends."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._dynamo  # Imported by the fork server too: an optimizer needs it.

from tests.support.worker_bench import Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # A worker has its process to itself: it moves to the bundle and imports from there.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    yield Bench(tmp_path)
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)) or "/tests/models/" in file:
            del sys.modules[name]


@pytest.fixture(autouse=True, scope="session")
def _as_after_the_fork_server() -> None:
    # Small models are slower on many threads, and test runs share their cores.
    torch.set_num_threads(1)
    # A worker collects garbage after each command. What was imported before is none.
    gc.collect()
    gc.freeze()
