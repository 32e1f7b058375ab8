"""Pools of real processes, and jobs for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from advisor.pools.local import LocalPool
from tests.support import scripted_worker
from tests.support.worker_jobs import PREAMBLE, WriteJob, write_job


@pytest.fixture
async def pool() -> AsyncIterator[LocalPool]:
    pool = LocalPool(scripted_worker.COMMAND)
    yield pool
    await pool.close()


@pytest.fixture
def write(tmp_path: Path) -> WriteJob:
    """Make a job whose script begins with what every script needs."""
    return lambda source: write_job(tmp_path, source, preamble=PREAMBLE)
