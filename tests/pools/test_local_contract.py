"""The local pool keeps the contract, with real processes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from advisor.pools.local import LocalPool
from advisor.pools.observation import HostObserver
from advisor.ports.worker_pool import WorkerJob
from tests.support import scripted_worker, worker_pool_behaviours
from tests.support.worker_jobs import write_job
from tests.support.worker_pool_contract import WorkerPoolContract


class TestLocalPool(WorkerPoolContract):
    # The fixture ``pool`` stands in conftest.py.

    def make_pool(self, host: HostObserver) -> LocalPool:
        return LocalPool(scripted_worker.COMMAND, host=host)

    @pytest.fixture
    def job(self, tmp_path: Path) -> WorkerJob:
        os.mkfifo(tmp_path / "hanging")
        behaviours = Path(worker_pool_behaviours.__file__).read_text(encoding="utf-8")
        return write_job(tmp_path, behaviours)

    async def wait_until_hanging(self, job: WorkerJob) -> None:
        await asyncio.to_thread((job.source_dir / "hanging").read_bytes)
