"""A process that runs one command in a local pool and waits to be killed.

Usage: doomed_daemon.py DIRECTORY, which holds the job's model.py.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bsadvise.model.commands import Evaluate

from advisor.pools.local import LocalPool
from advisor.ports.worker_pool import WorkerJob
from tests.support import scripted_worker
from tests.support.worker_jobs import CPU


async def main(directory: Path) -> None:
    job = WorkerJob(
        source_dir=directory, entry_path="model.py", checkpoint_dir=directory, devices=(CPU,)
    )
    async with LocalPool(scripted_worker.COMMAND).open(job) as session:
        await session.run(Evaluate(time_limit_s=1000, evaluation_batch_size=1))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
