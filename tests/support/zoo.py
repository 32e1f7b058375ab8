"""Drives a model file of the zoo through the commands that a recommendation begins with."""

from __future__ import annotations

import shutil
from pathlib import Path

from bsadvise.model.commands import Command, InspectTask, RunStep, TimeLoader, Train
from bsadvise.model.measurements import Failed, Outcome, OutOfMemory, TimedOut

from advisor.pools.local import LocalPool
from advisor.pools.resource_limits import Isolation, Limits, shared_reach
from advisor.pools.sandbox import choose_sandbox
from advisor.ports.worker_pool import WorkerJob
from tests.support.worker_jobs import CPU

MODELS = Path(__file__).parent.parent / "zoo" / "models"
HUGE_BYTES = 200 << 20

LIMITS = Limits(memory_bytes=1 << 30, process_count=48, scratch_bytes=64 << 20)


def open_zoo(state_dir: Path) -> LocalPool:
    """Return a pool with the strongest sandbox that works here, and tight limits."""
    sandbox = choose_sandbox("auto")
    reach = shared_reach(state_dir, state_dir, data_paths=(), allow_network=False)
    return LocalPool(isolation=Isolation(limits=LIMITS, sandbox=sandbox, reach=reach))


def zoo_job(name: str, state_dir: Path) -> WorkerJob:
    """Return the job of a model file, with what lies beside it."""
    source_dir = state_dir / "sources" / name
    source_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(MODELS / f"{name}.py", source_dir)
    shutil.copytree(MODELS / "package", source_dir / "package", dirs_exist_ok=True)
    if name == "huge_data_beside":
        with (source_dir / "huge.bin").open("wb") as file:
            file.truncate(HUGE_BYTES)
    database = state_dir / "bsadvise.db"
    database.write_text("token", encoding="utf-8")
    checkpoint_dir = state_dir / "checkpoints" / name
    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    return WorkerJob(
        source_dir=source_dir,
        entry_path=f"{name}.py",
        checkpoint_dir=checkpoint_dir,
        devices=(CPU,),
        build_kwargs={"database": str(database)} if name == "reads_the_database" else {},
    )


def commands(limit_s: float) -> tuple[Command, ...]:
    """Return what a file is asked for, in turn."""
    return (
        InspectTask(time_limit_s=limit_s),
        RunStep(time_limit_s=limit_s, micro_batch_size=4),
        TimeLoader(time_limit_s=limit_s, batch_size=4, measure_s=0.01),
        Train(
            time_limit_s=limit_s,
            micro_batch_size=4,
            accumulation_steps=1,
            learning_rate=0.01,
            step_count=20,
            evaluation_batch_size=4,
            save_checkpoint="one",
        ),
    )


async def drive(pool: LocalPool, name: str, state_dir: Path, limit_s: float) -> Outcome:
    """Return the first outcome of a file that ends what it is asked for, or the last."""
    outcome: Outcome | None = None
    async with pool.open(zoo_job(name, state_dir)) as session:
        for command in commands(limit_s):
            outcome = (await session.run(command)).outcome
            if isinstance(outcome, Failed | OutOfMemory | TimedOut):
                break
    assert outcome is not None
    return outcome
