"""Pools of real processes, and jobs for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from advisor.pools.local import LocalPool
from advisor.ports.worker_pool import WorkerJob
from tests.support import scripted_worker
from tests.support.worker_jobs import write_job

WriteJob = Callable[[str], WorkerJob]


@pytest.fixture
async def pool() -> AsyncIterator[LocalPool]:
    pool = LocalPool(scripted_worker.COMMAND)
    yield pool
    await pool.close()


@pytest.fixture
def write(tmp_path: Path) -> WriteJob:
    """Make a job whose script begins with what every script needs."""
    preamble = "import os, signal, subprocess, sys\nfrom advisor.domain.measurements import *\n"
    return lambda source: write_job(tmp_path, source, preamble=preamble)
